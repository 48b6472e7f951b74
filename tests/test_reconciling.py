"""What a crash leaves behind is put right, and what is alive stays; processes that are killed at any moment."""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
import time
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from examples.projects.models import Project
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.lifecycle import locks, pool, reconcile, schemas, services, template
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.models import FormerSchema, Spare, Tombstone
from tenants.lifecycle.reconcile import Kind
from tenants.registry import names
from tenants.registry.models import Tenant, TenantStatus
from tests import committed
from tests.committed import provisioned
from tests.test_members import events
from tests.test_provisioning import _nothing_left, everything, owned, owner_sql  # noqa: F401 -- a fixture

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("TENANTRY_TEST_KILLS", "3"))  # of each kind

# --- Leftovers --------------------------------------------------------------------------------------------------------


def put_right(*kinds: Kind) -> None:
    """What is found is exactly this; dry runs change nothing; afterwards nothing is left over, and again."""
    assert [finding.kind for finding in reconcile.find()] == list(kinds)
    assert report("--dry-run") == [(kind.name.lower(), "found") for kind in kinds]
    assert report() == [(kind.name.lower(), reconcile.REMEDIES[kind]) for kind in kinds]
    assert report() == []


def report(*arguments: str) -> list[tuple[str, str]]:
    output = StringIO()
    call_command("reconcile_tenants", "--json", *arguments, stdout=output)
    return [(finding["kind"], finding["outcome"]) for finding in json.loads(output.getvalue())["findings"]]


def orphan() -> str:
    """A schema that belongs to nobody."""
    schema_name = names.generate_schema_name()
    with as_owner():
        schemas.create_from(template.hold_current(), schema_name=schema_name)
    return schema_name


def test_what_belongs_to_nobody_is_dropped() -> None:
    put_right()
    orphan()
    put_right(Kind.ORPHANED_SCHEMA)
    owner_sql(f"DROP SCHEMA {orphan()} CASCADE")
    put_right(Kind.ORPHANED_ROLE)
    assert everything() == owned()


def test_spares_that_nobody_can_have_are_dropped() -> None:
    pool.refill(target=3)
    broken, retired, good = Spare.objects.values_list("pk", flat=True)
    owner_sql(f"DROP SCHEMA {broken} CASCADE")
    owner_sql("UPDATE tenant_lifecycle_spare SET is_retired = true WHERE schema_name = %s", retired)
    assert {finding.kind for finding in reconcile.find()} == {Kind.BROKEN_SPARE, Kind.RETIRED_SPARE}
    call_command("reconcile_tenants", stdout=StringIO())
    assert [spare.pk for spare in Spare.objects.all()] == [good]
    assert everything() == owned()


def test_a_schema_without_its_role_gets_it() -> None:
    with provisioned("roleless") as tenant:
        with enter(tenant.pk):
            Project.objects.create(name="Kept", created_by=uuid4())
        role = tenant.schema_name
        owner_sql(f"GRANT {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")
        put_right(Kind.MISSING_ROLE)
        with enter(tenant.pk):
            assert Project.objects.get().name == "Kept"


def test_a_tenant_whose_schema_is_gone_is_marked_as_failed() -> None:
    with provisioned("hollowed") as tenant:
        owner_sql(f"DROP SCHEMA {tenant.schema_name} CASCADE")
        put_right(Kind.MISSING_SCHEMA)
        assert Tenant.objects.get(pk=tenant.pk).status == "failed"
        assert events("hollowed")[-1] == "tenant.failed"


def test_a_tenant_that_was_never_finished_is_removed() -> None:
    tenant = services.provision(name="Stuck", slug="stuck-one")
    Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.PROVISIONING)
    put_right(Kind.UNFINISHED)
    assert not Tenant.objects.filter(pk=tenant.pk).exists()
    services.provision(name="Stuck", slug="stuck-one")


def test_a_deletion_that_stopped_goes_on() -> None:
    tenant = services.provision(name="Going", slug="going-one")
    Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.DELETING)
    put_right(Kind.DELETING)
    assert not Tenant.objects.filter(pk=tenant.pk).exists()
    Tombstone.objects.using("owner").filter(tenant_id=tenant.pk).delete()


def keep_as_former(schema_name: str, tenant: Tenant) -> None:
    with as_owner():
        FormerSchema.objects.create(schema_name=schema_name, tenant_id=tenant.pk)


def test_former_data_stays_until_somebody_lets_it_go() -> None:
    """Or its tenant is gone, or its tables."""
    with provisioned("restored") as tenant:
        for changes in ({"is_dropping": True}, {"tenant_id": uuid4()}):
            former = orphan()
            keep_as_former(former, tenant)
            put_right()
            FormerSchema.objects.using("owner").filter(pk=former).update(**changes)
            put_right(Kind.DROPPING)
        former = orphan()
        keep_as_former(former, tenant)
        committed.drop_schema(former)
        put_right(Kind.DROPPING)
        assert not FormerSchema.objects.exists()


def test_what_somebody_is_working_on_is_left_alone() -> None:
    schema_name, holds, finish = orphan(), threading.Event(), threading.Event()

    def work() -> None:
        with locks.working_on(schema_name):
            holds.set()
            finish.wait(10)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    assert holds.wait(5)
    assert report() == [("orphaned_schema", "somebody is at it")]
    finish.set()
    thread.join()
    put_right(Kind.ORPHANED_SCHEMA)


def test_what_is_alive_is_not_touched() -> None:
    """All states that hold data, spares that can be claimed, and claims that are not committed yet."""
    pool.refill(target=2)
    for status in (TenantStatus.ACTIVE, TenantStatus.SUSPENDED, TenantStatus.ARCHIVED, TenantStatus.FAILED):
        tenant = services.provision(name=status, slug=f"is-{status}")
        Tenant.objects.filter(pk=tenant.pk).update(status=status)
    pool.refill(target=1)
    before = everything()
    with transaction.atomic():
        services.provision(name="Claiming", slug="claiming")
        assert report() == []
    assert (report(), everything()) == ([], before)


def test_one_that_cannot_be_put_right_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = min(orphan(), orphan())
    drop = schemas.drop
    monkeypatch.setattr(schemas, "drop", lambda name: 1 / 0 if name == stubborn else drop(name))
    with pytest.raises(Exception, match="1 of 2"):
        call_command("reconcile_tenants", stdout=StringIO())
    assert [finding.schema_name for finding in reconcile.find()] == [stubborn]
    monkeypatch.undo()
    output = StringIO()
    call_command("reconcile_tenants", stdout=output)
    assert stubborn in output.getvalue()


# --- Killed -----------------------------------------------------------------------------------------------------------

WORK = {
    "replaying": "services.provision(name='Killed', slug=f'killed-{number}')",
    "refilling": "pool.refill(target=number + 1)",
    "claiming": "services.provision(name='Killed', slug=f'killed-{number}')",
    "recording": "owner('DELETE FROM tenant_lifecycle_template'); template.ensure()",
}


@pytest.mark.parametrize("work", WORK)
def test_killed_at_any_moment_it_is_complete_or_absent(work: str) -> None:
    """SIGKILL, at random; afterwards one look over it, nothing orphaned, and the next try works."""
    script = f"""
        import itertools
        import django; django.setup()
        from django.db import connections
        from tenants.lifecycle import pool, services, template
        def owner(statement):
            with connections["owner"].cursor() as cursor:
                cursor.execute(statement)
        print("ready", flush=True)
        for number in itertools.count({{first}}):
            {WORK[work]}
    """
    environment = os.environ | {
        **committed.urls(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    for round_number in range(KILLS):
        if work == "claiming":
            pool.refill(target=20)
        code = textwrap.dedent(script).replace("{first}", str(round_number * 10_000))
        with subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(random.Random(secrets.randbits(64)).uniform(0, 0.3))  # noqa: S311 -- no secret
            child.kill()
        assert child.returncode == -signal.SIGKILL
        until_gone()
        call_command("reconcile_tenants", stdout=StringIO())
        assert reconcile.find() == []
        assert everything() == owned()
        whole = fingerprints([*owned()[0]])
        assert set(whole.values()) == {template.ensure().fingerprint}
        services.provision(name="Next", slug=f"next-{round_number}")


def until_gone() -> None:
    """Wait until the server has noticed that its client is dead, and has undone what it was doing."""
    for _ in range(100):
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            )
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.05)
    raise AssertionError("The server still works for a process that is dead.")
