"""The operator API on the later life of tenants: archiving, deleting, exporting, copying, migrating, and the jobs."""

import io
import stat
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from config.demo_data import OPERATOR_EMAIL
from identity.accounts.models import User
from jobs import exports, kinds, running, schedule, services
from jobs.kinds import JobKind
from jobs.models import Job, JobState
from operators import lifecycle
from operators.models import Operator
from permissions.roles import OperatorRole
from tenants.audit import selectors as audit
from tenants.audit.models import AuditEvent
from tenants.context.entry import enter
from tenants.lifecycle.errors import NoFormerData
from tenants.lifecycle.models import Tombstone
from tenants.registry.models import Tenant
from tests import working
from tests.committed import provisioned, schemas
from tests.conftest import API_HOST, CAST, Call, sign_in

TENANTS, JOBS, EXPORTS, FLEET = (f"/operator/v1/{noun}" for noun in ("tenants", "jobs", "exports", "fleet"))


@pytest.fixture(autouse=True)
def kinds_of_tests() -> None:
    working.register()


@pytest.fixture
def export_dir(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORT_DIR = tmp_path / "exports"
    return tmp_path / "exports"


@pytest.fixture
def committed(unwrapped: None) -> Iterator[Tenant]:
    """A tenant with a row, for jobs, which work on connections of their own."""
    with provisioned("initech") as tenant:
        with enter(tenant.pk):
            from examples.projects.models import Project

            Project.objects.create(name="Reports", created_by=uuid4())
        yield tenant


def path_to(slug: str) -> str:
    return f"{TENANTS}/{Tenant.objects.get(slug=slug).pk}"


def operator() -> UUID:
    return User.objects.get(email=OPERATOR_EMAIL).pk


def run(job: Job) -> Job:
    running.run(job.pk, is_stopping=lambda: False)
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED, job.error
    return job


def last_action(tenant_id: UUID | None) -> str:
    return AuditEvent.objects.filter(tenant_id=tenant_id).order_by("-sequence").values_list("action", flat=True)[0]


def as_role(role: OperatorRole) -> dict[str, str]:
    """What to send as a member of staff of this role."""
    Operator.objects.update(role=role)
    return {"HTTP_AUTHORIZATION": f"Bearer {sign_in(CAST['operator'])['access_token']}", "host": API_HOST}


# --- Archiving and deleting -------------------------------------------------------------------------------------------


def test_an_archived_tenant_is_closed_and_comes_back(call: Call) -> None:
    path = path_to("acme")
    for _ in range(2):
        body = call("operator", "POST", f"{path}/archive").json()
        assert (body["status"], body["delete_at"]) == ("archived", None)
    assert body["archived_at"] is not None
    refused = call("acme_owner", "GET", "/api/v1/projects")
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_archived")
    for _ in range(2):
        assert call("operator", "POST", f"{path}/restore").json()["status"] == "active"
    assert call("acme_owner", "GET", "/api/v1/projects").status_code == 200
    assert call("operator", "GET", path).json()["archived_at"] is None


def test_a_deletion_waits_and_can_be_taken_back(call: Call, settings: Any) -> None:
    path = path_to("acme")
    first, second = (call("operator", "DELETE", path) for _ in range(2))
    assert (first.status_code, first.json()["status"]) == (202, "archived")
    assert second.json()["delete_at"] == first.json()["delete_at"]
    day = Tenant.objects.get(slug="acme").delete_at
    assert timedelta(0) <= timezone.now() + settings.TENANT_DELETION_GRACE - day < timedelta(minutes=1)
    schedule.look("deletions")
    assert not Job.objects.exists()
    body = call("operator", "POST", f"{path}/restore").json()
    assert (body["status"], body["delete_at"]) == ("active", None)
    assert last_action(UUID(body["id"])) == "tenant.restored"


def test_a_suspended_tenant_is_not_brought_back_by_restoring(call: Call) -> None:
    path = path_to("acme")
    call("operator", "POST", f"{path}/suspend")
    refused = call("operator", "POST", f"{path}/restore")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")


def test_when_its_time_is_over_the_schedule_has_it_deleted(committed: Tenant) -> None:
    from tenants.lifecycle import deletion

    deletion.schedule_deletion(tenant_id=committed.pk)
    Tenant.objects.filter(pk=committed.pk).update(delete_at=timezone.now() - timedelta(hours=1))
    schedule.look("deletions")
    schedule.look("deletions")
    job = Job.objects.get()
    assert (job.kind, job.tenant_id) == (JobKind.DELETE_TENANT, committed.pk)
    run(job)
    assert not Tenant.objects.filter(pk=committed.pk).exists()
    assert committed.schema_name not in schemas()
    assert Tombstone.objects.filter(tenant_id=committed.pk).exists()
    running.run(job.pk, is_stopping=lambda: False)  # brought again by the queue: nothing is left to do


# --- Exports, restores, copies ----------------------------------------------------------------------------------------


def test_an_export_is_asked_for_written_and_downloaded(committed: Tenant, export_dir: Path) -> None:
    job = run(lifecycle.request_export(tenant_id=committed.pk, by=operator()))
    assert job.result["export"] == str(job.pk)
    path = lifecycle.fetch_export(export_id=job.pk)
    assert path.stat().st_size == job.result["size"]
    assert stat.S_IMODE(export_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert "manifest.json" in archive.namelist()
    actions = list(audit.events_of(committed.pk).order_by("sequence").values_list("action", flat=True))
    assert actions[-3:] == ["tenant.export_requested", "tenant.exported", "tenant.export_downloaded"]
    written = AuditEvent.objects.get(tenant_id=committed.pk, action="tenant.exported")
    assert (written.actor_kind, written.request_id) == ("system", str(job.pk))


def test_the_file_comes_as_a_stream(call: Call, export_dir: Path) -> None:
    tenant = Tenant.objects.get(slug="acme")
    job = call("operator", "POST", f"{path_to('acme')}/export")
    assert (job.status_code, job.json()["state"]) == (202, "queued")
    identifier = job.json()["id"]
    assert call("operator", "GET", f"{EXPORTS}/{identifier}").json()["code"] == "no_export"  # not yet
    exports.path_of(UUID(identifier)).write_bytes(b"PK of a sort")
    Job.objects.filter(pk=identifier).update(state=JobState.SUCCEEDED, finished_at=timezone.now())
    response = call("operator", "GET", f"{EXPORTS}/{identifier}")
    assert (response.status_code, b"".join(response.streaming_content)) == (200, b"PK of a sort")
    assert response["Content-Type"] == "application/zip"
    assert f'filename="{identifier}' in response["Content-Disposition"]
    assert "no-store" in response["Cache-Control"]
    assert last_action(tenant.pk) == "tenant.export_downloaded"


def test_an_export_expires_and_is_cleared_away(call: Call, export_dir: Path, settings: Any) -> None:
    identifier = UUID(call("operator", "POST", f"{path_to('acme')}/export").json()["id"])
    path = exports.path_of(identifier)
    path.write_bytes(b"x")
    left_behind, foreign = exports.path_of(uuid4()), export_dir / "notes.tenant.zip"
    left_behind.with_name(f"{left_behind.name}.partial").write_bytes(b"x")
    foreign.write_bytes(b"x")
    Job.objects.filter(pk=identifier).update(state=JobState.SUCCEEDED, finished_at=timezone.now())
    assert exports.prune_files() == 1
    assert {path, foreign} == set(export_dir.iterdir())
    over = timezone.now() - settings.EXPORT_LIFETIME - timedelta(seconds=1)
    Job.objects.filter(pk=identifier).update(finished_at=over)
    assert call("operator", "GET", f"{EXPORTS}/{identifier}").json()["code"] == "no_export"
    assert exports.prune_files() == 1
    assert {foreign} == set(export_dir.iterdir())


def test_an_export_is_restored_beside_the_live_one_once(committed: Tenant, export_dir: Path) -> None:
    """Although the worker that restored it was killed before it could say so."""
    export = run(lifecycle.request_export(tenant_id=committed.pk, by=operator()))
    job = lifecycle.request_restore(export_id=export.pk, slug="initech-before", name=None, by=operator())
    run(job)
    restored = Tenant.objects.get(pk=job.result["tenant"])
    assert (restored.slug, restored.pk != committed.pk) == ("initech-before", True)
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, result={})
    run(job)
    assert job.result == {"tenant": str(restored.pk)}


def test_an_export_takes_the_place_of_the_present_data(committed: Tenant, export_dir: Path) -> None:
    from examples.projects.models import Project

    export = run(lifecycle.request_export(tenant_id=committed.pk, by=operator()))
    with enter(committed.pk):
        Project.objects.all().delete()
    job = run(lifecycle.request_restore(export_id=export.pk, slug=None, name=None, by=operator()))
    with enter(committed.pk):
        assert [project.name for project in Project.objects.all()] == ["Reports"]
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    run(job)


def test_what_a_restore_put_aside_comes_back_once_and_is_let_go_once(committed: Tenant, export_dir: Path) -> None:
    """Although the workers were killed before they could say so."""
    from examples.projects.models import Project

    def found() -> list[str]:
        with enter(committed.pk):
            return [project.name for project in Project.objects.all()]

    def run_again(job: Job) -> None:
        Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
        run(job)

    with pytest.raises(NoFormerData):
        lifecycle.request_undo(tenant_id=committed.pk, by=operator())
    export = run(lifecycle.request_export(tenant_id=committed.pk, by=operator()))
    with enter(committed.pk):
        Project.objects.update(name="Changed")
    run(lifecycle.request_restore(export_id=export.pk, slug=None, name=None, by=operator()))
    assert found() == ["Reports"]
    undone = run(lifecycle.request_undo(tenant_id=committed.pk, by=operator()))
    run_again(undone)
    assert found() == ["Changed"]
    confirmed = run(lifecycle.request_confirmation(tenant_id=committed.pk, by=operator()))
    run_again(confirmed)
    assert found() == ["Changed"]
    with pytest.raises(NoFormerData):
        lifecycle.request_confirmation(tenant_id=committed.pk, by=operator())
    asked = audit.events_of(committed.pk).values_list("action", flat=True)
    for action in ("restore_undo_requested", "restore_undone", "restore_confirmation_requested", "restore_confirmed"):
        assert list(asked).count(f"tenant.{action}") == 1


def test_a_tenant_is_copied_once_and_belongs_to_who_asked(committed: Tenant) -> None:
    arguments: dict[str, Any] = {"slug": "sandbox", "name": "Sandbox", "with_data": True, "with_members": False}
    job = run(lifecycle.request_clone(tenant_id=committed.pk, by=operator(), **arguments))
    copy = Tenant.objects.get(slug="sandbox")
    assert job.result == {"tenant": str(copy.pk)}
    with enter(copy.pk):
        from examples.projects.models import Project

        assert [project.name for project in Project.objects.all()] == ["Reports"]
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, result={})
    assert run(job).result == {"tenant": str(copy.pk)}


def test_what_is_asked_for_is_a_job_with_an_event(call: Call, export_dir: Path) -> None:
    tenant = Tenant.objects.get(slug="acme")
    asked = {
        "export": ({}, "tenant.export_requested"),
        "clone": ({"slug": "acme-trial", "name": "Trial"}, "tenant.clone_requested"),
    }
    for action, (body, event) in asked.items():
        response = call("operator", "POST", f"{path_to('acme')}/{action}", body or None)
        assert response.status_code == 202
        assert (response.json()["tenant_id"], response.json()["state"]) == (str(tenant.pk), "queued")
        assert response.json()["requested_by"] == str(operator())
        assert last_action(tenant.pk) == event
        again = call("operator", "POST", f"{path_to('acme')}/{action}", body or None)
        assert again.json()["id"] == response.json()["id"]
    for slug in ("www", "No_Slug"):
        refused = call("operator", "POST", f"{path_to('acme')}/clone", {"slug": slug, "name": "x"})
        assert (refused.status_code, refused.json()["code"]) == (400, "validation_error")


# --- The fleet --------------------------------------------------------------------------------------------------------


def test_where_the_fleet_stands(call: Call) -> None:
    body = call("operator", "GET", FLEET).json()
    assert body == {"tenants": 2, "behind": 0, "drifted": 0, "failed": 0, "unwell": []}


def test_the_fleet_is_migrated_by_a_job(unwrapped: None) -> None:
    job = run(lifecycle.request_migration(canaries=["acme"], by=operator()))
    assert (job.result["migrated"], job.result["failed"], job.result["waiting"]) == (0, {}, 0)
    assert last_action(None) == "fleet.migration_requested"
    Job.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def test_migrating_is_asked_for_over_the_api(call: Call) -> None:
    response = call("operator", "POST", f"{FLEET}/migrate", {"canaries": ["acme"]})
    assert (response.status_code, response.json()["kind"]) == (202, "migrate_fleet")
    assert response.json()["arguments"] == {"canaries": ["acme"]}


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_jobs_are_listed_seen_and_cancelled(call: Call) -> None:
    tenant_id = uuid4()
    first = services.request(kind="count", tenant_id=tenant_id, arguments={"steps": 1})
    second = services.request(kind="fail")
    assert [row["id"] for row in call("operator", "GET", JOBS).json()["results"]] == [str(second.pk), str(first.pk)]
    for query, found in {f"tenant_id={tenant_id}": first, "kind=fail": second}.items():
        assert [row["id"] for row in call("operator", "GET", f"{JOBS}?{query}").json()["results"]] == [str(found.pk)]
    assert call("operator", "GET", f"{JOBS}?state=running").json()["results"] == []
    path = f"{JOBS}/{first.pk}"
    assert call("operator", "GET", path).json()["arguments"] == {"steps": 1}
    for _ in range(2):
        assert call("operator", "POST", f"{path}/cancel").json()["state"] == "cancelled"
    assert last_action(None) == "job.cancelled"
    services.begin(job_id=second.pk)
    assert call("operator", "POST", f"{JOBS}/{second.pk}/cancel").json()["cancel_requested"] is True
    services.end(job_id=second.pk, run=1, state=JobState.SUCCEEDED)
    Job.objects.filter(pk=second.pk).update(cancel_requested=False)
    over = call("operator", "POST", f"{JOBS}/{second.pk}/cancel")
    assert (over.status_code, over.json()["code"]) == (409, "job_over")
    assert call("operator", "POST", f"{JOBS}/{uuid4()}/cancel").status_code == 404


def test_a_job_that_must_be_finished_is_not_cancelled(call: Call) -> None:
    job = services.request(kind=JobKind.DELETE_TENANT, tenant_id=uuid4())
    services.begin(job_id=job.pk)
    refused = call("operator", "POST", f"{JOBS}/{job.pk}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_not_cancellable")


def test_each_role_of_staff_does_what_the_table_says(call: Call) -> None:
    path = path_to("acme")
    needs_admin = [("POST", f"{path}/export"), ("GET", f"{EXPORTS}/{uuid4()}"), ("POST", f"{FLEET}/migrate")]
    needs_operator = [("GET", JOBS), ("GET", FLEET), ("POST", f"{path}/archive")]
    for role, allowed in {
        OperatorRole.ADMIN: needs_admin + needs_operator,
        OperatorRole.OPERATOR: needs_operator,
        OperatorRole.SUPPORT: [],
    }.items():
        auth = as_role(role)
        for method, url in needs_admin + needs_operator:
            status = call("nobody", method, url, **auth).status_code
            assert (status == 403) == ((method, url) not in allowed), (role, method, url, status)


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("DELETE", f"{TENANTS}/{{}}"),
        *(("POST", f"{TENANTS}/{{}}/{action}") for action in ("archive", "export", "clone")),
        ("GET", f"{EXPORTS}/{{}}"),
        ("POST", f"{EXPORTS}/{{}}/restore"),
        ("POST", f"{FLEET}/migrate"),
    ],
)
def test_where_a_recent_sign_in_is_asked_for(call: Call, settings: Any, method: str, route: str) -> None:
    settings.STEP_UP_MAX_AGE = timedelta(0)
    refused = call("operator", method, route.format(Tenant.objects.get(slug="acme").pk), {})
    assert refused.json()["code"] == "insufficient_user_authentication"


# --- The schedule -----------------------------------------------------------------------------------------------------


def test_every_entry_of_the_schedule_can_be_looked_after(call: Call) -> None:
    for name in schedule.SCHEDULE:
        schedule.look(name)
    asked = set(Job.objects.values_list("kind", flat=True))
    assert {JobKind.RECONCILE, JobKind.PRUNE, JobKind.CHECK_DOMAINS} <= asked
    assert {JobKind.DELETE_TENANT, JobKind.SEND_MAIL}.isdisjoint(asked)


@pytest.mark.parametrize("kind", [JobKind.RECONCILE, JobKind.PRUNE, JobKind.CHECK_DOMAINS, JobKind.SEND_MAIL])
def test_what_is_done_by_time_of_day_is_done(unwrapped: None, export_dir: Path, kind: JobKind) -> None:
    run(services.request(kind=kind))
    Job.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def test_every_kind_is_known(db: None) -> None:
    for kind in JobKind:
        assert kinds.of(kind).attempts > 0
