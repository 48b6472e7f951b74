"""How tenants come to be: from a recorded template, or from a spare that was made ahead; at once, and killed midway."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.demo_data import PASSWORD, TENANTS
from examples.projects.models import Project
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members.models import Membership
from identity.onboarding.services import create_own_tenant
from operators.errors import UnknownOwner
from operators.services import create_tenant
from tenants.context.entry import enter, maintain
from tenants.context.ownership import as_owner
from tenants.lifecycle import pool, reconcile, schemas, services, template
from tenants.lifecycle.errors import NoSpare, TemplateMismatch
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.models import Spare, Template
from tenants.lifecycle.signals import spare_claimed
from tenants.registry import names, states
from tenants.registry.errors import SlugTaken, WrongState
from tenants.registry.models import Domain, Tenant, TenantStatus
from tenants.registry.services import set_tenant_status
from tenants.wall import services as wall
from tests import committed
from tests.committed import provisioned, remove, remove_spares
from tests.conftest import Call
from tests.test_members import code, events
from tests.test_races import at_once, post

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("TENANTRY_TEST_KILLS", "3"))  # of each kind
FOUNDER = "founder@provisioning.test"


@pytest.fixture(autouse=True)
def _nothing_left(unwrapped: None) -> Iterator[None]:
    """Each test begins with an empty pool, and leaves the seeds alone."""
    yield
    for tenant in Tenant.objects.using("owner").exclude(slug__in=TENANTS):
        remove(tenant)
    remove_spares()
    User.objects.filter(email__endswith="@provisioning.test").delete()
    left, belonging = everything(), owned()
    for name in set().union(*left) - belonging[0]:
        committed.drop_schema(name)
    assert left == belonging


def everything() -> tuple[set[str], set[str]]:
    """The schemas and the roles of tenants in the database."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 't\_%'")
        return committed.schemas(), {name for (name,) in cursor.fetchall()}


def owned() -> tuple[set[str], set[str]]:
    """Those that belong to a tenant or to the pool."""
    belonging = {*Tenant.objects.values_list("schema_name", flat=True), *Spare.objects.values_list("pk", flat=True)}
    return belonging, belonging


def owner_sql(statement: str, *values: Any) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, values)


@contextmanager
def without_owner() -> Iterator[None]:
    """Let this process not know how to log in as the owner."""
    connections["owner"].close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections["owner"].settings_dict, "USER", "")
        yield


@pytest.fixture
def computing(settings: Any) -> Iterator[None]:
    """The code of one release on: its migrations compute something."""
    settings.MIGRATION_MODULES = {"projects": "tests.computing.migrations"}
    template.current_version.cache_clear()
    yield
    settings.MIGRATION_MODULES = {}
    template.current_version.cache_clear()
    template.ensure()
    with as_owner():
        Template.objects.exclude(pk=template.current_version()).filter(spares=None).delete()


# --- From the template ------------------------------------------------------------------------------------------------


def migrations_of(tenant: Any) -> list[tuple[str, str]]:
    with maintain(tenant), connections["owner"].cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        return list(cursor.fetchall())


def test_a_replayed_schema_is_what_migrating_makes() -> None:
    """Catalogue, grants and the record of migrations; and migrating it finds nothing to do."""
    migrated = Tenant(schema_name=names.generate_schema_name())
    with as_owner():
        schemas.create_empty(migrated.schema_name)
        with maintain(migrated):
            executor = MigrationExecutor(connections["owner"])
            executor.migrate(template.targets(executor.loader))
        wall.build_tenant(schema_name=migrated.schema_name)
    with provisioned("replayed") as tenant:
        found = fingerprints([tenant.schema_name, migrated.schema_name])
        assert found[tenant.schema_name] == found[migrated.schema_name] == template.ensure().fingerprint
        assert migrations_of(tenant) == migrations_of(migrated) != []
        with maintain(tenant):
            executor = MigrationExecutor(connections["owner"])
            assert executor.migration_plan(template.targets(executor.loader)) == []
    committed.drop_schema(migrated.schema_name)


def test_replaying_takes_one_round_trip_and_no_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", None)  # it would raise
    with CaptureQueriesContext(connections["owner"]) as statements, provisioned("replayed"):
        pass
    made = [query["sql"] for query in statements if "CREATE SCHEMA" in query["sql"]]
    assert len(made) == 1
    assert "CREATE TABLE" in made[0]
    assert "CREATE ROLE" in made[0]


def test_the_template_is_recorded_once_and_leaves_no_schema() -> None:
    before = everything()
    first = template.ensure()
    assert template.ensure() == template.get(template.current_version()) == first
    assert Template.objects.filter(is_current=True).count() == 1
    assert Template.objects.get(is_current=True) == first
    assert everything() == before


def test_a_template_that_is_gone_or_of_another_postgres_is_recorded_anew() -> None:
    good = template.ensure()
    for statement in (
        "DELETE FROM tenant_lifecycle_template",
        "UPDATE tenant_lifecycle_template SET server = 9, fingerprint = 'x'",
    ):
        owner_sql(statement)
        with provisioned("recorded-anew"):
            assert template.get(good.version).fingerprint == good.fingerprint


def test_a_schema_that_comes_out_otherwise_is_no_tenant() -> None:
    """It is compared before anything is committed."""
    good, before = template.ensure(), everything()
    owner_sql("UPDATE tenant_lifecycle_template SET fingerprint = 'another'")
    try:
        with pytest.raises(TemplateMismatch):
            services.provision(name="Odd", slug="odd-one")
        with pytest.raises(TemplateMismatch):
            pool.refill(target=1)
        assert (everything(), Tenant.objects.filter(slug="odd-one").exists()) == (before, False)
    finally:
        owner_sql("UPDATE tenant_lifecycle_template SET fingerprint = %s", good.fingerprint)


def test_what_a_migration_computes_is_computed_for_each_tenant(computing: None) -> None:
    """In its place between the others, with the models of that moment; the rest is still recorded."""
    recorded = template.ensure()
    names_of_steps = [step.get("migration") for step in recorded.steps]
    assert [name for name in names_of_steps if name] == [["projects", "0002_seeds"]]
    pool.refill(target=1)
    found = set()
    for slug in ("of-a-spare", "replayed"):
        tenant = services.provision(name=slug, slug=slug)
        with enter(tenant.pk):
            found.add(Project.objects.get(name="First steps").pk)
        assert [name for app, name in migrations_of(tenant) if app == "projects"] == [
            "0001_initial",
            "0002_seeds",
            "0003_later",
        ]
    assert len(found) == 2
    assert set(
        fingerprints(
            Tenant.objects.filter(name__in=["of-a-spare", "replayed"]).values_list("schema_name", flat=True)
        ).values()
    ) == {recorded.fingerprint}
    assert "INSERT INTO" in recorded.script
    assert "CONCURRENTLY" not in recorded.script


def test_provisioning_that_fails_leaves_nothing(computing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the tables are there when it does."""
    template.ensure()
    before = everything()
    monkeypatch.setattr(MigrationExecutor, "apply_migration", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        services.provision(name="Half", slug="half-made")
    assert (everything(), Tenant.objects.filter(slug="half-made").exists()) == (before, False)


# --- From the pool ----------------------------------------------------------------------------------------------------


def test_claiming_a_spare_takes_no_owner_and_no_ddl() -> None:
    pool.refill(target=1)
    spare = Spare.objects.get().pk
    with without_owner():
        with CaptureQueriesContext(connection) as statements:
            tenant = services.provision(name="Quick", slug="quick-one")
        with pytest.raises(NoSpare):
            services.provision(name="Slow", slug="slow-one")
    assert tenant.schema_name == spare
    assert (tenant.status, Domain.objects.get(tenant=tenant).domain) == ("active", "quick-one.localhost")
    verbs = {query["sql"].split()[0].strip("(") for query in statements if "jobs" not in query["sql"]}
    assert not verbs & {"CREATE", "GRANT", "ALTER", "SET"}
    with enter(tenant.pk):
        Project.objects.create(name="Mine", created_by=uuid4())


def closed_account() -> str:
    """The address of an account that nobody can sign in to."""
    user = accounts.create_user(email="gone@provisioning.test", password=PASSWORD)
    accounts.set_active(user_id=user.pk, is_active=False)
    return user.email


def test_a_claim_that_rolls_back_gives_the_spare_back() -> None:
    told: list[Any] = []

    def listen(**signal: Any) -> None:
        told.append(signal["sender"])

    spare_claimed.connect(listen)
    try:
        pool.refill(target=1)
        for slug, error in (("acme", SlugTaken), ("www", Exception)):
            with pytest.raises(error):
                services.provision(name="Taken", slug=slug)
        with pytest.raises(UnknownOwner):
            create_tenant(name="Nobody's", slug="nobodys", owner_email=closed_account())
        with transaction.atomic():
            services.provision(name="Undone", slug="undone")
            transaction.set_rollback(True)
        assert (pool.size(), told) == (1, [])
        services.provision(name="Done", slug="done-deal")
        assert (pool.size(), told) == (0, [Spare])
    finally:
        spare_claimed.disconnect(listen)


def test_a_spare_whose_schema_is_gone_is_not_claimed() -> None:
    pool.refill(target=1)
    owner_sql(f"DROP SCHEMA {Spare.objects.get().pk} CASCADE")
    tenant = services.provision(name="Whole", slug="whole-one")
    with enter(tenant.pk):
        assert not Project.objects.exists()


def test_one_block_provisions_one_tenant() -> None:
    def provision_two() -> None:
        with services.provisioning():
            services.provision(name="First", slug="first-one")
            services.provision(name="Second", slug="second-one")

    with pytest.raises(RuntimeError, match="one tenant"):
        provision_two()
    assert not Tenant.objects.filter(slug="first-one").exists()


def test_refilling_makes_as_many_as_there_are_to_be() -> None:
    seen: list[int] = []
    assert pool.refill(target=3, made=lambda: seen.append(pool.size())) == 3
    assert seen == [1, 2, 3]
    assert pool.refill(target=2) == 0
    assert pool.size() == 3
    assert set(fingerprints(Spare.objects.values_list("pk", flat=True)).values()) == {template.ensure().fingerprint}


def test_of_several_who_refill_nobody_overshoots() -> None:
    made = at_once([lambda: pool.refill(target=6)] * 4)
    assert (sum(made), pool.size()) == (6, 6)


def test_spares_of_a_former_version_are_never_claimed(computing: None) -> None:
    """Not from the moment on when the new template is current, whoever asks; refilling drops them."""
    template.current_version.cache_clear()
    former = Template.objects.get(is_current=True)
    with as_owner():  # made by the code of before
        for _ in range(2):
            name = names.generate_schema_name()
            schemas.create_from(former, schema_name=name)
            Spare.objects.create(schema_name=name, template=former)
    current = template.ensure()
    assert current != former
    assert (pool.size(), pool.claim(), Spare.objects.filter(is_retired=True).count()) == (0, None, 2)
    tenant = services.provision(name="New", slug="new-one")
    assert fingerprints([tenant.schema_name])[tenant.schema_name] == current.fingerprint
    assert pool.refill(target=1) == 1
    assert list(Spare.objects.values_list("template", "is_retired")) == [(current.pk, False)]
    assert everything() == owned()


def test_a_new_template_waits_for_those_who_are_claiming(computing: None) -> None:
    """So a fleet that is migrated afterwards has them all."""
    former = Template.objects.get(is_current=True)
    with as_owner():
        name = names.generate_schema_name()
        schemas.create_from(former, schema_name=name)
        Spare.objects.create(schema_name=name, template=former)
    done = threading.Event()

    def become_current() -> None:
        try:
            template.ensure()
        finally:
            done.set()
            connections.close_all()

    with transaction.atomic():
        tenant = services.provision(name="Last", slug="last-one")
        thread = threading.Thread(target=become_current)
        thread.start()
        assert not done.wait(0.7)
    thread.join(20)
    assert done.is_set()
    assert tenant.schema_name == name
    assert Template.objects.get(is_current=True) != former


def test_the_command_fills_the_pool(settings: Any) -> None:
    def fill(*arguments: str) -> str:
        output = StringIO()
        call_command("fill_pool", *arguments, stdout=output)
        return output.getvalue().strip()

    assert json.loads(fill("--size", "2", "--json")) == {"made": 2, "spares": 2}
    assert fill("--size", "3") == "Made 1; 3 spare schemas are ready."
    assert fill() == "Made 0; 3 spare schemas are ready."


# --- Whoever creates one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spares", [0, 4])
def test_what_belongs_together_is_one_transaction(spares: int) -> None:
    """Tenant, first owner and events: the app's transaction with a spare, the owner's without."""
    pool.refill(target=spares)
    user = accounts.create_user(email=FOUNDER, password=PASSWORD)
    tenant = create_own_tenant(user_id=user.pk, name="Own", slug="own-tenant")
    assert Membership.objects.get(tenant=tenant).user_id == user.pk
    assert events("own-tenant") == ["tenant.created", "member.added"]
    before = everything(), pool.size(), Tenant.objects.count()
    with pytest.raises(UnknownOwner):
        create_tenant(name="Nobody's", slug="nobodys", owner_email=closed_account())
    with pytest.raises(User.DoesNotExist):
        create_own_tenant(user_id=uuid4(), name="Nobody's", slug="nobodys")
    assert (everything(), pool.size(), Tenant.objects.count()) == before


@pytest.mark.parametrize("spares", [0, 2, 12])
def test_the_limit_of_a_person_holds_with_and_without_spares(spares: int, settings: Any) -> None:
    settings.OWN_TENANTS_LIMIT = 3
    pool.refill(target=spares)
    user = accounts.create_user(email=FOUNDER, password=PASSWORD)
    token = post("/api/v1/auth/login", {"email": FOUNDER, "password": PASSWORD}).json()["access_token"]

    def create(number: int) -> str:
        return code(post("/api/v1/tenants", {"name": "Own", "slug": f"own-{number}"}, token=token))

    codes = at_once([lambda number=number: create(number) for number in range(10)])
    assert sorted(codes) == [""] * 3 + ["too_many_tenants"] * 7
    assert Tenant.objects.filter(created_by=user.pk).count() == 3


@pytest.mark.parametrize("spares", [0, 5])
def test_a_burst_of_sign_ups_never_fails(spares: int) -> None:
    """Twenty at once: the pool first, the template for the rest; no schema twice, everyone complete."""
    pool.refill(target=spares)
    ready = set(Spare.objects.values_list("pk", flat=True))
    made = at_once([lambda slug=f"burst-{n}": services.provision(name="Burst", slug=slug) for n in range(20)])
    assert len({tenant.schema_name for tenant in made}) == 20
    assert ready <= {tenant.schema_name for tenant in made}
    assert set(fingerprints([tenant.schema_name for tenant in made]).values()) == {template.ensure().fingerprint}
    assert reconcile.find() == []
    assert pool.size() == 0


# --- The states of a life ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("present", TenantStatus)
def test_a_tenant_goes_from_state_to_state_as_the_table_says(db: None, present: TenantStatus) -> None:
    """Whatever else is asked for is refused, and changes nothing; asking for what is so already does not either."""
    tenant = Tenant.objects.get(slug="acme")
    for wanted in TenantStatus:
        Tenant.objects.filter(pk=tenant.pk).update(status=present, archived_at=timezone.now(), delete_at=timezone.now())
        before, action = events("acme"), states.TRANSITIONS.get((present, wanted))
        if action is None and wanted != present:
            with pytest.raises(WrongState):
                set_tenant_status(tenant_id=tenant.pk, status=wanted)
            wanted = present  # noqa: PLW2901 -- it stays so
        else:
            set_tenant_status(tenant_id=tenant.pk, status=wanted)
        tenant.refresh_from_db()
        assert tenant.status == wanted
        assert events("acme") == [*before, *([action] if action else [])]
        if action and wanted == TenantStatus.ACTIVE:
            assert (tenant.archived_at, tenant.delete_at) == (None, None)


def test_a_state_that_cannot_follow_is_a_conflict(call: Call) -> None:
    path = f"/operator/v1/tenants/{Tenant.objects.get(slug='acme').pk}"
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.DELETING)
    for action in ("suspend", "resume"):
        refused = call("operator", "POST", f"{path}/{action}")
        assert (refused.status_code, code(refused)) == (409, "wrong_state")


def test_archived_and_suspended_tenants_say_which(call: Call, tokens: dict[str, Any]) -> None:
    body = {"email": "owner@acme.test", "password": PASSWORD}
    for status in TenantStatus:
        Tenant.objects.filter(slug="acme").update(status=status)
        expected = {"active": "", "archived": "tenant_archived"}.get(status, "tenant_suspended")
        assert code(call("acme_owner", "GET", "/api/v1/projects")) == expected, status
        assert code(call("nobody", "POST", "/api/v1/auth/login", body)) == expected, status
    assert call("globex_owner", "GET", "/api/v1/projects").status_code == 200
