"""Archiving, deleting, replacing and cloning: what can be taken back is, and of what cannot nothing is left."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from examples.projects.models import Project, Task
from identity.clients.models import Client
from identity.domains.models import DomainClaim
from identity.invitations.models import Invitation
from identity.members.models import Membership
from identity.roles.models import CustomRole
from identity.sessions.models import RefreshFamily
from tenants.audit import selectors as audit
from tenants.audit.models import AuditChain
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.lifecycle import belongings, cloning, deletion, exporting, reconcile, replacing, restoring
from tenants.lifecycle.errors import InGrace, NoFormerData, NotRestorable, OtherTenant
from tenants.lifecycle.models import FormerSchema, Tombstone
from tenants.registry.errors import SlugTaken, WrongState
from tenants.registry.models import Tenant, TenantStatus
from tenants.registry.sign_in_policy import SignInPolicy
from tests.committed import provisioned, schemas
from tests.leaving import (
    KILLS,
    MEMBER,
    OWNER,
    Leaving,
    ask,
    checksums,
    kill_at_random,
    leaving,
    query,
    remains,
    sign_in,
)

__all__ = ["leaving"]


def status_of(tenant: Tenant) -> str:
    return str(Tenant.objects.get(pk=tenant.pk).status)


def last_event(tenant: Tenant) -> str:
    event = audit.events_of(tenant.pk).order_by("sequence").last()
    return event.action if event else ""


def test_an_archived_tenant_is_not_served_and_comes_back_whole(leaving: Leaving) -> None:
    tenant, token = leaving.tenant, leaving.tokens["access_token"]
    before = checksums(tenant.schema_name)
    for _ in range(2):
        assert deletion.archive_tenant(tenant_id=tenant.pk).archived_at is not None
    assert last_event(tenant) == "tenant.archived"
    answer = ask(token, "leaving")
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_archived")
    assert sign_in(OWNER, "leaving")["code"] == "tenant_archived"
    for _ in range(2):
        assert deletion.unarchive_tenant(tenant_id=tenant.pk).archived_at is None
    assert ask(token, "leaving").status_code == 200
    assert checksums(tenant.schema_name) == before
    Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.SUSPENDED)
    with pytest.raises(WrongState):  # whoever suspended it decides on that
        deletion.unarchive_tenant(tenant_id=tenant.pk)


def test_a_deletion_can_be_taken_back_until_its_time(leaving: Leaving) -> None:
    tenant = leaving.tenant
    with pytest.raises(InGrace, match="is not to be deleted"):
        deletion.delete_tenant(tenant_id=tenant.pk)
    when = deletion.schedule_deletion(tenant_id=tenant.pk).delete_at
    assert when is not None
    assert timedelta(days=29) < when - timezone.now() < timedelta(days=30)
    assert deletion.schedule_deletion(tenant_id=tenant.pk).delete_at == when  # the day does not move
    assert status_of(tenant) == "archived"
    assert last_event(tenant) == "tenant.deletion_scheduled"
    assert tenant not in deletion.tenants_to_delete()
    with pytest.raises(InGrace, match="is to be deleted at"):
        deletion.delete_tenant(tenant_id=tenant.pk)
    assert deletion.cancel_deletion(tenant_id=tenant.pk).delete_at is None
    assert (status_of(tenant), last_event(tenant)) == ("archived", "tenant.deletion_cancelled")
    deletion.schedule_deletion(tenant_id=tenant.pk)
    assert deletion.unarchive_tenant(tenant_id=tenant.pk).delete_at is None
    assert ask(sign_in(OWNER, "leaving")["access_token"], "leaving").status_code == 200
    with override_settings(TENANT_DELETION_GRACE=timedelta(0)):
        deletion.schedule_deletion(tenant_id=tenant.pk)
    assert list(deletion.tenants_to_delete()) == [tenant]
    deletion.delete_tenant(tenant_id=tenant.pk)
    assert not Tenant.objects.filter(pk=tenant.pk).exists()


def test_nothing_is_left_but_a_tombstone(leaving: Leaving) -> None:
    tenant = leaving.tenant
    ends = AuditChain.objects.get(pk=tenant.pk)
    with enter(tenant.pk):
        Project.objects.create(name="Seen", created_by=leaving.owner.pk)
    seen: list[str] = []
    deletion.delete_tenant(
        tenant_id=tenant.pk, by=leaving.owner.pk, at_once=True, progress=lambda *told: seen.append(told[0])
    )
    assert remains(tenant) == {}
    stone = Tombstone.objects.get(tenant_id=tenant.pk)
    assert (stone.schema_name, stone.deleted_by) == (tenant.schema_name, leaving.owner.pk)
    assert stone.slug_digest in deletion.digests_of("leaving")
    assert stone.last_sequence == ends.last_sequence + 1  # that its deletion began
    assert {"memberships", "clients", "tables", "audit events"} <= set(seen)
    event = audit.events_of_platform().order_by("sequence").last()
    assert event is not None
    assert (event.action, event.targets[0]["id"]) == ("tenant.deleted", str(tenant.pk))
    for host in ("leaving.localhost", "app.leaving.example"):
        assert APIClient().get("/api/v1/projects", HTTP_HOST=host).status_code == 404
    deletion.delete_tenant(tenant_id=tenant.pk)  # it is gone: nothing to do
    assert Tombstone.objects.count() == 1
    assert reconcile.find() == []


def test_its_slug_is_free_and_opens_nothing_of_it(leaving: Leaving) -> None:
    tenant, tokens = leaving.tenant, leaving.tokens
    deletion.delete_tenant(tenant_id=tenant.pk, at_once=True)
    with provisioned("leaving") as successor:
        assert successor.pk != tenant.pk
        assert ask(tokens["access_token"], "leaving").status_code in (401, 403)
        post: Callable[..., Any] = APIClient().post
        refreshed = post(
            "/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, HTTP_HOST="leaving.localhost"
        )
        assert refreshed.status_code == 401
        assert sign_in(OWNER, "leaving")["code"] == "not_a_member"
        for host in ("localhost", "leaving.localhost"):
            invited = {"token": leaving.invitation, "password": PASSWORD, "name": "Late"}
            assert post("/api/v1/invitations/accept", invited, HTTP_HOST=host).status_code == 400
        form = {"grant_type": "client_credentials"}
        form |= dict(zip(("client_id", "client_secret"), leaving.client, strict=True))
        assert post("/oauth/token", form, format="multipart", HTTP_HOST="localhost").status_code in (400, 401, 415)
        assert not RefreshFamily.objects.filter(tenant=successor).exists()
        with enter(successor.pk):
            assert not Project.objects.exists()
        answer = APIClient().post("/api/v1/auth/login", {"email": OWNER, "password": PASSWORD}, HTTP_HOST="localhost")
        assert (answer.status_code, answer.json()["tenant"]) == (200, None)  # the person is still one


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_deletion_goes_on(leaving: Leaving, number: int) -> None:
    tenant = leaving.tenant
    call = f"deletion.delete_tenant(tenant_id=UUID({str(tenant.pk)!r}), at_once=True)"
    was_killed = kill_at_random(call, within=90)
    if was_killed and Tenant.objects.filter(pk=tenant.pk).exists():
        began = status_of(tenant) == "deleting"
        if number % 2 and began:
            assert [reconcile.repair(finding) for finding in reconcile.find()] == [True]
        else:
            deletion.delete_tenant(tenant_id=tenant.pk, at_once=not began)
    assert remains(tenant) == {}
    assert Tombstone.objects.filter(tenant_id=tenant.pk).count() == 1
    assert reconcile.find() == []


def test_two_who_delete_the_same_tenant(leaving: Leaving) -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
        except Exception as error:  # noqa: BLE001 -- told below
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert remains(leaving.tenant) == {}
    assert Tombstone.objects.count() == 1


def test_a_reader_delays_a_deletion_and_does_not_stop_it(leaving: Leaving) -> None:
    """A request that entered before still reads; the tables wait for its end."""
    holds, finish = threading.Event(), threading.Event()

    def read() -> None:
        with enter(leaving.tenant.pk):
            assert Project.objects.count() == 20
            holds.set()
            finish.wait(10)
            assert Task.objects.count() == 20
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    assert holds.wait(5)
    timer = threading.Timer(2.5, finish.set)
    timer.start()
    deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
    for thread in (reader, timer):
        thread.join()
    assert remains(leaving.tenant) == {}


def test_in_place_only_the_data_is_replaced(leaving: Leaving, tmp_path: Path) -> None:
    tenant, token = leaving.tenant, leaving.tokens["access_token"]
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=tenant.pk, path=path)
    before = checksums(tenant.schema_name)
    with enter(tenant.pk):
        Project.objects.all().delete()
    Membership.objects.filter(tenant=tenant, user=leaving.member).delete()
    replaced = restoring.restore_in_place(path=path, tenant_id=tenant.pk)
    assert (replaced.pk, replaced.schema_name != tenant.schema_name) == (tenant.pk, True)
    assert checksums(replaced.schema_name) == before
    assert len(ask(token, "leaving").json()["results"]) == 20
    assert sign_in(MEMBER, "leaving")["code"] == "not_a_member"  # a restore undoes no removal
    assert (last_event(tenant), audit.verdict_on(tenant.pk).is_whole) == ("tenant.data_restored", True)
    assert reconcile.find() == []  # the former data is somebody's
    with pytest.raises(NotRestorable, match="still kept"):
        restoring.restore_in_place(path=path, tenant_id=tenant.pk)
    assert replacing.undo_restore(tenant_id=tenant.pk).schema_name == tenant.schema_name
    assert ask(token, "leaving").json()["results"] == []
    replacing.undo_restore(tenant_id=tenant.pk)
    assert len(ask(token, "leaving").json()["results"]) == 20
    replacing.confirm_restore(tenant_id=tenant.pk)
    assert tenant.schema_name not in schemas()
    assert query("SELECT count(*) FROM pg_roles WHERE rolname = %s", tenant.schema_name) == [(0,)]
    for act in (replacing.undo_restore, replacing.confirm_restore):
        with pytest.raises(NoFormerData):
            act(tenant_id=tenant.pk)
    assert len(ask(token, "leaving").json()["results"]) == 20
    with provisioned("somebody") as other, pytest.raises(OtherTenant):
        restoring.restore_in_place(path=path, tenant_id=other.pk)


def test_who_is_inside_when_the_data_is_replaced_is_refused(leaving: Leaving, tmp_path: Path) -> None:
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    refused: list[str] = []

    def work() -> None:
        try:
            with enter(leaving.tenant.pk):
                inside.set()
                replaced.wait(20)
                Project.objects.create(name="Lost?", created_by=leaving.owner.pk)
        except Exception as error:  # noqa: BLE001 -- told below
            refused.append(str(error))
        finally:
            connection.close()

    inside, replaced = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(5)
    restoring.restore_in_place(path=path, tenant_id=leaving.tenant.pk)
    replaced.set()
    thread.join()
    assert "permission denied for schema" in refused[0] or "does not exist" in refused[0]


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_replacement_has_the_one_data_or_the_other(leaving: Leaving, tmp_path: Path, number: int) -> None:
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    with enter(leaving.tenant.pk):
        Project.objects.all().delete()
    known, key = schemas(), leaving.tenant.pk
    calls = [
        f"restoring.restore_in_place(path=Path({str(path)!r}), tenant_id=UUID({str(key)!r}))",
        f"replacing.confirm_restore(tenant_id=UUID({str(key)!r}))",
    ]
    if kill_at_random(calls[0], within=55) and not FormerSchema.objects.exists():
        assert schemas() == known
        with enter(key):
            assert Project.objects.count() == 0
        restoring.restore_in_place(path=path, tenant_id=key)
    kill_at_random(calls[1], within=20)
    if FormerSchema.objects.exists():
        replacing.confirm_restore(tenant_id=key)
    with enter(key):
        assert Project.objects.count() == 20
    assert len(schemas()) == len(known)
    assert reconcile.find() == []


def test_a_deleted_tenant_takes_its_former_data_along(leaving: Leaving, tmp_path: Path) -> None:
    known = schemas()
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    restoring.restore_in_place(path=path, tenant_id=leaving.tenant.pk)
    deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
    assert schemas() == known - {leaving.tenant.schema_name}
    assert not FormerSchema.objects.exists()


def test_a_tenant_that_lost_its_tables_gets_them_back(leaving: Leaving, tmp_path: Path) -> None:
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    with as_owner():
        query(f"DROP SCHEMA {leaving.tenant.schema_name} CASCADE")
    call_command("reconcile_tenants", stdout=StringIO())
    assert status_of(leaving.tenant) == "failed"
    restoring.restore_in_place(path=path, tenant_id=leaving.tenant.pk)
    assert status_of(leaving.tenant) == "active"
    assert ask(leaving.tokens["access_token"], "leaving").status_code == 200


@pytest.mark.parametrize("with_data", [True, False], ids=["data", "empty"])
def test_a_sandbox_has_one_owner_and_nothing_that_opens_the_other(leaving: Leaving, *, with_data: bool) -> None:
    source = leaving.tenant
    before = checksums(source.schema_name)
    clone = cloning.clone_tenant(
        source_id=source.pk, slug="sandbox", name="Sandbox", owner_id=leaving.member.pk, with_data=with_data
    )
    assert (clone.name, clone.status, clone.time_zone) == ("Sandbox", "active", "Europe/Paris")
    assert clone.support_policy == "never"
    assert SignInPolicy.of(clone) == SignInPolicy(max_session_hours=100, ways=frozenset({"password"}))
    member = Membership.objects.get(tenant=clone)
    assert (member.user_id, member.role) == (leaving.member.pk, "owner")
    assert CustomRole.objects.get(tenant=clone).name == "planner"
    for model in (Client, Invitation, DomainClaim):
        assert not model.objects.filter(tenant=clone).exists()
    assert [domain.domain for domain in clone.domains.all()] == ["sandbox.localhost"]
    if with_data:
        assert checksums(clone.schema_name) == before
    token = sign_in(MEMBER, "sandbox")["access_token"]
    assert len(ask(token, "sandbox").json()["results"]) == (20 if with_data else 0)
    assert sign_in(OWNER, "sandbox")["code"] == "not_a_member"
    with enter(clone.pk):
        Project.objects.all().delete()
    assert checksums(source.schema_name) == before
    assert (last_event(source), audit.verdict_on(clone.pk).is_whole) == ("tenant.cloned", True)
    with pytest.raises(SlugTaken):
        cloning.clone_tenant(source_id=source.pk, slug="sandbox", name="Again", owner_id=leaving.owner.pk)


def test_a_sandbox_of_a_drifted_tenant_is_like_it(leaving: Leaving) -> None:
    with as_owner():
        query(f"ALTER TABLE {leaving.tenant.schema_name}.projects_project ADD COLUMN mood text DEFAULT 'good'")
    clone = cloning.clone_tenant(source_id=leaving.tenant.pk, slug="sandbox", name="S", with_members=True)
    assert checksums(clone.schema_name) == checksums(leaving.tenant.schema_name)
    assert sign_in(MEMBER, "sandbox")["role"] == "planner"


def test_the_commands(leaving: Leaving) -> None:
    def run(*arguments: str) -> Any:
        output = StringIO()
        call_command(*arguments, "--json", stdout=output)
        return json.loads(output.getvalue())

    assert run("archive_tenant", "leaving")["status"] == "archived"
    assert run("archive_tenant", "leaving", "--undo")["status"] == "active"
    assert run("clone_tenant", "leaving", "sandbox", "--owner", str(leaving.owner.pk))["slug"] == "sandbox"
    [scheduled] = run("delete_tenant", "leaving")
    assert (scheduled["status"], scheduled["delete_at"] is not None) == ("archived", True)
    assert run("delete_tenant", "leaving", "--cancel")[0]["delete_at"] is None
    assert run("delete_tenant", "--due") == []
    assert run("delete_tenant", "leaving", "--now", "--yes")[0]["status"] == "deleted"
    for arguments, what in (
        (("delete_tenant",), "Name a tenant"),
        (("delete_tenant", "nobody"), "no tenant"),
        (("delete_tenant", "sandbox", "--due"), "Name a tenant"),
        (("clone_tenant", "sandbox", "another"), "--owner"),
        (("archive_tenant", str(uuid4())), "no tenant"),
    ):
        with pytest.raises(CommandError, match=what):
            call_command(*arguments)


def test_every_model_that_points_to_a_tenant_says_what_becomes_of_it() -> None:
    assert belongings.check_belongings(None) == []
    labels = [belonging.label for belonging in belongings.all_belongings()]
    assert labels.index("roles.customrole") < labels.index("members.membership")
