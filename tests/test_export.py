"""Exporting and restoring: all of a tenant, byte for byte, at one moment, and nothing that opened it before."""

import json
import threading
import tomllib
import zipfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from examples.projects.models import Project, Task
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients.models import Client, ClientSecret
from identity.domains.models import ClaimStatus, DomainClaim
from identity.invitations.models import Invitation
from identity.members.models import Membership
from permissions.roles import Role
from tenants.audit import selectors as audit
from tenants.audit.models import AuditEvent
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.lifecycle import belongings, deletion, exporting, restoring, rows
from tenants.lifecycle.errors import BrokenExport, ForeignExport, NotExportable, NotRestorable
from tenants.lifecycle.export_file import Reader
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.models import Template
from tenants.lifecycle.rows import Ids
from tenants.registry.errors import SlugTaken
from tenants.registry.models import Domain, Tenant, TenantStatus
from tenants.registry.sign_in_policy import SignInPolicy
from tests.committed import schemas
from tests.leaving import (
    KILLS,
    MEMBER,
    OWNER,
    ROOT,
    Leaving,
    ask,
    checksums,
    kill_at_random,
    leaving,
    query,
    run_script,
    sign_in,
)
from tests.releases import COLUMN, Release, release

__all__ = ["leaving", "release"]


@pytest.fixture
def file(leaving: Leaving, tmp_path: Path) -> Path:
    """The tenant's export."""
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    return path


def test_export_delete_restore_gives_the_same_bytes_and_working_logins(leaving: Leaving, file: Path) -> None:
    tenant = leaving.tenant
    before, events = checksums(tenant.schema_name), audit.verdict_on(tenant.pk).events
    deletion.delete_tenant(tenant_id=tenant.pk, at_once=True)
    restored = restoring.restore_tenant(path=file)
    assert checksums(restored.schema_name) == before
    assert before.keys() >= {"projects_project", "projects_task", "sequences"}
    assert (restored.pk, restored.slug, restored.time_zone) == (tenant.pk, "leaving", "Europe/Paris")
    assert restored.support_policy == "never"  # who was to keep out stays out
    assert SignInPolicy.of(restored) == SignInPolicy(max_session_hours=100, ways=frozenset({"password"}))
    assert restored.schema_name != tenant.schema_name
    for email, role in ((OWNER, "owner"), (MEMBER, "planner")):
        tokens = sign_in(email, "leaving")
        assert tokens["role"] == role
        answer = ask(tokens["access_token"], "leaving")
        assert (answer.status_code, len(answer.json()["results"])) == (200, 20)
    verdict = audit.verdict_on(tenant.pk)
    assert (verdict.is_whole, verdict.events) == (True, events)  # that of the restore, for that of the export
    assert audit.events_of(tenant.pk).latest("sequence").action == "tenant.restored_from_file"
    assert set(tenant.domains.values_list("domain", flat=True)) == {"leaving.localhost", "app.leaving.example"}


def test_nothing_that_opened_the_former_tenant_opens_the_restored_one(leaving: Leaving, file: Path) -> None:
    deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
    restored = restoring.restore_tenant(path=file)
    assert ask(leaving.tokens["access_token"], "leaving").status_code == 401
    post = APIClient().post
    refreshed = post(
        "/api/v1/auth/refresh", {"refresh_token": leaving.tokens["refresh_token"]}, HTTP_HOST="leaving.localhost"
    )
    assert refreshed.status_code == 401
    invited = {"token": leaving.invitation, "password": PASSWORD, "name": "Late"}
    assert post("/api/v1/invitations/accept", invited, HTTP_HOST="localhost").status_code == 400
    assert Invitation.objects.get(tenant=restored).status == "pending"  # sent again, it is good
    assert not ClientSecret.objects.filter(client__tenant=restored).exists()
    assert Client.objects.get(tenant=restored).name == "Robot"
    claim = DomainClaim.objects.get(tenant=restored)
    assert (claim.status, claim.proved_at) == (ClaimStatus.PENDING, None)


def test_beside_the_live_one_every_id_is_another_one(leaving: Leaving, file: Path) -> None:
    tenant = leaving.tenant
    restored = restoring.restore_tenant(path=file, slug="beside", name="Copy")
    assert (restored.name, restored.status) == ("Copy", "active")
    both = (restored, tenant)
    for model in (Membership, Client, Invitation, DomainClaim):
        ours, theirs = (set(model.objects.filter(tenant=each).values_list("pk", flat=True)) for each in both)
        assert len(ours) == len(theirs) > 0
        assert not ours & theirs
    planner = Membership.objects.get(tenant=restored, user=leaving.member)
    assert planner.custom_role is not None
    assert planner.custom_role.tenant_id == restored.pk
    with enter(restored.pk):
        assert set(Task.objects.values_list("created_by", flat=True)) == {Client.objects.get().pk}
        assert set(Project.objects.values_list("created_by", flat=True)) == {leaving.owner.pk}
    assert set(restored.domains.values_list("domain", flat=True)) == {"beside.localhost"}
    assert audit.verdict_on(restored.pk).is_whole
    event = audit.events_of(restored.pk).filter(action="member.added").first()
    assert event is not None
    assert event.targets[0]["id"] in map(str, Membership.objects.filter(tenant=restored).values_list("pk", flat=True))
    assert audit.verdict_on(tenant.pk).is_whole
    before = checksums(tenant.schema_name)
    assert ask(sign_in(OWNER, "beside")["access_token"], "beside").status_code == 200
    assert ask(sign_in(OWNER, "beside")["access_token"], "leaving").status_code == 403
    with pytest.raises(SlugTaken):
        restoring.restore_tenant(path=file)
    assert checksums(tenant.schema_name) == before


def test_members_are_found_by_id_then_by_address_else_made_without_a_password(leaving: Leaving, file: Path) -> None:
    deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
    User.objects.filter(email__in=(OWNER, MEMBER)).delete()
    other = accounts.create_user(email=OWNER, password=PASSWORD)
    claimed = accounts.create_user(email=MEMBER, password=PASSWORD, verified=False)
    restored = restoring.restore_tenant(path=file)
    with enter(restored.pk):
        assert set(Project.objects.values_list("created_by", flat=True)) == {other.pk}
        assert set(Task.objects.values_list("assignee_id", flat=True)) == {claimed.pk}
    assert sign_in(OWNER, "leaving")["role"] == "owner"
    assert sign_in(MEMBER, "leaving")["code"] == "invalid_credentials"  # whoever claimed the address is out
    deletion.delete_tenant(tenant_id=restored.pk, at_once=True)
    User.objects.filter(email__in=(OWNER, MEMBER)).delete()
    restoring.restore_tenant(path=file)
    made = User.objects.get(email=OWNER)
    assert (made.pk, made.email_verified_at, made.has_usable_password()) == (leaving.owner.pk, None, False)


def test_no_secret_is_in_the_file(leaving: Leaving, file: Path) -> None:
    row = Invitation.objects.defer(None).get(tenant=leaving.tenant)
    needles = [leaving.client[1].encode(), bytes(row.secret).hex().encode(), leaving.invitation.encode(), b"argon2"]
    digests = ClientSecret.objects.defer(None).filter(client__tenant=leaving.tenant).values_list("digest", flat=True)
    needles += [bytes(digest).hex().encode() for digest in digests]
    versions = Membership.objects.filter(tenant=leaving.tenant).values_list("version", flat=True)
    needles += [str(version).encode() for version in versions]
    assert len(needles) == 7
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert OWNER.encode() in content
    assert [needle for needle in needles if needle in content] == []
    assert file.stat().st_mode & 0o077 == 0


def test_it_is_one_moment_while_others_write(leaving: Leaving, tmp_path: Path) -> None:
    """Each project is written with its task, in one transaction: no file has the one without the other."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with enter(leaving.tenant.pk):
                project = Project.objects.create(name="More", created_by=leaving.owner.pk)
                Task.objects.create(project=project, title="More", created_by=leaving.owner.pk)
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    counts = []
    for number in range(5):
        path = tmp_path / f"{number}.zip"
        exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
        with Reader.open(path) as reader:
            found = {table["name"]: table["rows"] for table in reader.manifest["tables"]}
        assert found["projects_project"] == found["projects_task"]
        counts.append(found["projects_task"])
    stop.set()
    for thread in threads:
        thread.join()
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_large_table_is_never_in_memory(leaving: Leaving, tmp_path: Path) -> None:
    """64 MB go out and in again; a process that does it grows by a fraction of that."""
    with enter(leaving.tenant.pk), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO projects_project SELECT gen_random_uuid(), 'Large', repeat(md5(n::text), 1000), 'active', %s,"
            " now(), now() FROM generate_series(1, 2000) n",
            [leaving.owner.pk],
        )
    done = run_script(
        f"""
        from resource import RUSAGE_SELF, getrusage
        def move(tenant_id, name):
            path = Path({str(tmp_path)!r}) / name
            exporting.export_tenant(tenant_id=UUID(tenant_id), path=path)
            restoring.restore_tenant(path=path, slug=name)
            return getrusage(RUSAGE_SELF).ru_maxrss
        small = move({str(Tenant.objects.get(slug="acme").pk)!r}, "small-copy")
        print(move({str(leaving.tenant.pk)!r}, "large-copy") - small)
        """
    )
    assert int(done.stdout) < 16 * 2**10  # kilobytes
    with Reader.open(tmp_path / "large-copy") as reader:
        assert max(part.size for part in reader.parts.values()) > 60 * 2**20
    with enter(Tenant.objects.get(slug="large-copy").pk):
        assert Project.objects.count() == 2020


Change = Callable[[dict[str, bytes]], Any]


def _change_manifest(parts: dict[str, bytes], **changes: Any) -> None:
    parts["manifest.json"] = json.dumps(json.loads(parts["manifest.json"]) | changes).encode()


def _table(parts: dict[str, bytes]) -> str:
    """The file of a table with projects in it."""
    return next(name for name in sorted(parts) if name.startswith("tables/") and b"active" in parts[name])


BROKEN: dict[str, tuple[Change, type[Exception], str]] = {
    "one row changed": (
        lambda parts: parts.update({_table(parts): parts[_table(parts)].replace(b"active", b"passiv", 1)}),
        BrokenExport,
        "checksum",
    ),
    "a table cut short": (
        lambda parts: parts.update({_table(parts): parts[_table(parts)][:-10]}), BrokenExport, "bytes"
    ),
    "a table left out": (lambda parts: parts.pop(_table(parts)), BrokenExport, "is missing"),
    "something added": (lambda parts: parts.update({"tables/99999.copy": b""}), BrokenExport, "not in the manifest"),
    "another structure": (
        lambda parts: parts.update({"schema.sql": parts["schema.sql"].replace(b"CREATE", b"CREATE ", 1)[:-1]}),
        BrokenExport,
        "checksum",
    ),
    "a trail without its end": (
        lambda parts: parts.update({"trail.jsonl": parts["trail.jsonl"].replace(b"member", b"nobody")}),
        BrokenExport,
        "checksum",
    ),
    "no manifest": (lambda parts: parts.pop("manifest.json"), BrokenExport, "no manifest"),
    "no JSON": (lambda parts: parts.update({"manifest.json": b"{"}), BrokenExport, "no JSON"),
    "another format": (lambda parts: _change_manifest(parts, format=2), BrokenExport, "format"),
    "another seal": (lambda parts: _change_manifest(parts, seal="0" * 64), ForeignExport, "sealed"),
    "another tenant": (lambda parts: _change_manifest(parts, hosts=[]), ForeignExport, "sealed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_was_changed_is_refused_and_leaves_nothing(file: Path, name: str) -> None:
    change, error, what = BROKEN[name]
    with zipfile.ZipFile(file) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(file, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    before = schemas(), Tenant.objects.count()
    with pytest.raises(error, match=what):
        restoring.restore_tenant(path=file, slug="never")
    assert (schemas(), Tenant.objects.count()) == before


def test_a_damaged_file_is_refused_whatever_byte_it_is(file: Path) -> None:
    whole = file.read_bytes()
    before = schemas()
    for place in range(40, len(whole), len(whole) // 25):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        file.write_bytes(damaged)
        try:
            restoring.restore_tenant(path=file, slug="never")
        except (BrokenExport, ForeignExport):
            continue
        # What nobody reads (a time, an attribute) may be anything.
        deletion.delete_tenant(tenant_id=Tenant.objects.get(slug="never").pk, at_once=True)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenExport, match="damaged"):
        restoring.restore_tenant(path=file, slug="never")
    assert schemas() == before


def test_a_file_of_another_platform_is_believed_only_if_somebody_says_so(
    leaving: Leaving, file: Path, settings: Any
) -> None:
    settings.SECRET_KEY = "another platform's, which is as long as it has to be"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ForeignExport):
        restoring.restore_tenant(path=file, slug="foreign")
    restored = restoring.restore_tenant(path=file, slug="foreign", foreign=True)
    with enter(restored.pk):
        assert Project.objects.count() == 20


def test_an_older_file_is_brought_to_this_version(leaving: Leaving, file: Path, release: Release) -> None:
    release(COLUMN)
    restored = restoring.restore_tenant(path=file, slug="newer")
    with as_owner():
        assert query(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name = 'note'",
            restored.schema_name,
        ) == [(1,)]
    with enter(restored.pk):
        assert Project.objects.count() == 20
    newer = file.with_name("newer.zip")
    exporting.export_tenant(tenant_id=restored.pk, path=newer)


def test_a_newer_file_is_refused(leaving: Leaving, file: Path) -> None:
    with as_owner():
        query(f"SET LOCAL search_path TO {leaving.tenant.schema_name}")
        query("INSERT INTO django_migrations VALUES (77, 'projects', '0099_later', now())")
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=file)
    with pytest.raises(NotRestorable, match="0099_later"):
        restoring.restore_tenant(path=file, slug="newer")


@pytest.mark.parametrize("has_template", [True, False], ids=["drifted", "forgotten"])
def test_a_schema_of_no_template_is_dumped(leaving: Leaving, file: Path, *, has_template: bool) -> None:
    """Somebody changed it by hand, or the template of its version is gone."""
    name = leaving.tenant.schema_name
    with as_owner():
        query(f"SET LOCAL search_path TO {name}")
        query(
            "ALTER TABLE projects_project ADD COLUMN shouted text GENERATED ALWAYS AS (upper(name)) STORED;"
            "CREATE VIEW loud AS SELECT shouted FROM projects_project;"
            "CREATE FUNCTION say() RETURNS text LANGUAGE sql AS $$ SELECT text 'loudly' $$"
        )
        query("SET LOCAL search_path TO public")
        if not has_template:
            Template.objects.all().delete()
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=file)
    restored = restoring.restore_tenant(path=file, slug="drifted")
    found = fingerprints([name, restored.schema_name])
    assert found[name] == found[restored.schema_name]
    with enter(restored.pk):
        assert Project.objects.count() == 20
    with as_owner():
        query(f"SET LOCAL search_path TO {restored.schema_name}")
        assert query("SELECT count(*) FROM loud WHERE shouted LIKE 'N%%'") == [(20,)]


def test_what_has_no_tables_is_not_exported(leaving: Leaving, tmp_path: Path) -> None:
    path = tmp_path / "never.zip"
    for status in (TenantStatus.PROVISIONING, TenantStatus.DELETING):
        Tenant.objects.filter(pk=leaving.tenant.pk).update(status=status)
        with pytest.raises(NotExportable):
            exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_version_take_the_columns_that_there_are(leaving: Leaving) -> None:
    """What a file does not know has its default, and what is not known here any more is left out."""
    [client] = [belonging for belonging in belongings.exported() if belonging.model is Client]
    row = {"id": str(uuid4()), "name": "Older", "created_by": str(leaving.owner.pk), "scope": "a", "color": "red"}
    with as_owner():
        ids = Ids((leaving.tenant.pk, leaving.tenant.pk))
        assert rows.insert(client, [json.dumps(row | {"created_at": "2026-01-02T03:04:05.678901+00:00"})], ids) == 1
    restored = Client.objects.get(pk=row["id"])
    assert (restored.is_active, restored.expires_at, restored.tenant) == (True, None, leaving.tenant)
    assert restored.created_at.isoformat() == "2026-01-02T03:04:05.678901+00:00"


def test_only_the_owner_of_the_tables_writes_a_trail_as_it_was(leaving: Leaving) -> None:
    """Whoever serves may say what they like: Postgres gives the event its place and its hash all the same."""
    tenant = leaving.tenant
    last = audit.events_of(tenant.pk).latest("sequence").sequence
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('tenantry.restored_trail', %s, true)", [str(tenant.pk)])
        AuditEvent.objects.create(tenant_id=tenant.pk, action="made.up", actor_kind="system", sequence=1000, hash=b"x")
    with enter(tenant.pk), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('tenantry.restored_trail', %s, true)", [str(tenant.pk)])
        AuditEvent.objects.create(tenant_id=tenant.pk, action="made.up", actor_kind="system", sequence=1001, hash=b"x")
    made_up = audit.events_of(tenant.pk).filter(action="made.up").values_list("sequence", flat=True)
    assert sorted(made_up) == [last + 1, last + 2]
    assert audit.verdict_on(tenant.pk).is_whole


def test_files_name_the_version_that_wrote_them(settings: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == settings.PRODUCT_VERSION


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_restore_has_never_been(leaving: Leaving, file: Path, number: int) -> None:
    before = schemas(), Tenant.objects.count(), Domain.objects.count(), User.objects.count()
    if kill_at_random(f"restoring.restore_tenant(path=Path({str(file)!r}), slug='killed-one')", within=80):
        assert (schemas(), Tenant.objects.count(), Domain.objects.count(), User.objects.count()) == before
        restoring.restore_tenant(path=file, slug="killed-one")
    with enter(Tenant.objects.get(slug="killed-one").pk):
        assert Project.objects.count() == 20


def test_the_commands(leaving: Leaving, tmp_path: Path) -> None:
    path = tmp_path / "by-command.zip"

    def run(*arguments: str) -> dict[str, Any]:
        output = StringIO()
        call_command(*arguments, "--json", stdout=output)
        result: dict[str, Any] = json.loads(output.getvalue())
        return result

    assert run("export_tenant", "leaving", str(path))["rows"] > 40
    assert run("restore_tenant", str(path), "--slug", "by-command")["slug"] == "by-command"
    assert run("restore_tenant", str(path), "--in-place", "leaving")["id"] == str(leaving.tenant.pk)
    run("restore_tenant", "--undo", "leaving")
    run("restore_tenant", "--confirm", str(leaving.tenant.pk))
    for arguments, what in (
        (("export_tenant", "nobody", str(path)), "no tenant"),
        (("restore_tenant", str(path)), "Another tenant has this slug"),
        (("restore_tenant", str(path), "--in-place", "by-command"), "another tenant"),
        (("restore_tenant", "--confirm", "leaving"), "no former data"),
        (("restore_tenant",), "Name a file"),
        (("restore_tenant", str(tmp_path / "none.zip")), "No such file"),
        (("restore_tenant", str(path), "--slug", "UPPER"), "lower-case"),
    ):
        with pytest.raises(CommandError, match=what):
            call_command(*arguments)
    assert connections["owner"].in_atomic_block is False
    assert Role.OWNER in Membership.objects.filter(tenant__slug="by-command").values_list("role", flat=True)
