"""The wall is in the database: what a tenant's role is refused, Postgres refuses."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import ProgrammingError, connection, connections, transaction
from django.db.models import Max, Model
from psycopg import sql

from examples.projects.models import Project
from identity.accounts.models import User
from identity.clients import selectors as clients
from identity.clients.models import Client
from identity.members import selectors as members
from identity.members.models import Membership
from identity.sessions import selectors as session_selectors
from identity.sessions import services as sessions
from identity.sessions.models import Api, RefreshFamily, Session
from identity.sessions.proof import BY_PASSWORD
from identity.sessions.services import Device
from tenants.context import entry, guards
from tenants.context.backend.base import DatabaseWrapper
from tenants.context.entry import as_person, enter
from tenants.context.errors import AlreadyInTenant, NoSuchSchema
from tenants.context.ownership import as_owner, current_alias
from tenants.lifecycle.errors import NoSpare
from tenants.registry.models import Tenant
from tenants.wall import openings, services
from tenants.wall.roles import group_role, people_role
from tests.committed import provisioned, urls
from tests.conftest import ACME, CAST, Actor, Call, sign_in

ROOT = Path(__file__).parents[1]


def run(statement: str) -> list[tuple[Any, ...]]:
    """Run raw SQL, as an injection or a careless query would, and undo it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        transaction.set_rollback(True)
    return rows


# --- Inside a tenant --------------------------------------------------------------------------------------------------


def test_a_tenant_works_as_its_own_role(acme: Tenant) -> None:
    """Named like its schema; the connection's own role is back afterwards."""
    login = run("SELECT current_user")
    with enter(acme.pk):
        assert run("SELECT current_user, session_user") == [(acme.schema_name, login[0][0])]
        assert run("SELECT count(*) FROM projects_project") == [(2,)]
    assert run("SELECT current_user") == login


FORBIDDEN = [
    "SELECT * FROM {other}.projects_project",
    "INSERT INTO {other}.projects_project SELECT * FROM projects_project",
    "SET LOCAL search_path TO {other}; SELECT * FROM projects_project",
    "SET LOCAL ROLE {other}; SET LOCAL ROLE {own}; SELECT * FROM {other}.projects_project",
    "SELECT * FROM accounts_user",
    "SELECT password FROM accounts_user",
    "UPDATE accounts_user SET name = 'x'",
    "SELECT secret FROM invitations_invitation",
    "UPDATE invitations_invitation SET email = 'x'",
    "UPDATE invitations_invitation SET accepted_by = gen_random_uuid()",
    "DELETE FROM invitations_invitation",
    "SELECT recipient FROM mail_outgoingmail",
    "SELECT * FROM accounts_mailedlink",
    "UPDATE audit_auditevent SET action = 'x.y'",
    "DELETE FROM audit_auditevent",
    "TRUNCATE audit_auditevent",
    "UPDATE audit_auditchain SET last_sequence = 0",
    "INSERT INTO audit_auditchain (id, last_sequence, last_hash) VALUES (gen_random_uuid(), 0, '')",
    "DROP TRIGGER audit_append ON audit_auditevent",
    "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
    "SET LOCAL session_replication_role = replica",
    "SELECT * FROM identity_sessions_session",
    "SELECT * FROM identity_sessions_refreshfamily",
    "SELECT * FROM keys_storedkey",
    "SELECT * FROM operators_operator",
    "SELECT * FROM operators_supportaccess",
    "SELECT * FROM django_migrations",
    "SELECT * FROM django_content_type",
    "SELECT digest FROM clients_clientsecret",
    "UPDATE clients_clientsecret SET digest = ''",
    "UPDATE members_membership SET user_id = gen_random_uuid()",
    "INSERT INTO members_membership SELECT * FROM members_membership",
    "UPDATE registry_tenant SET status = 'active'",
    "UPDATE registry_tenant SET schema_name = 't_aaaaaaaaaaaaaaaa'",
    "DELETE FROM registry_tenant",
    "INSERT INTO registry_domain SELECT * FROM registry_domain",
    "CREATE TABLE probe (x int)",
    "CREATE TABLE {own}.probe (x int)",
    "CREATE TABLE public.probe (x int)",
    "CREATE SCHEMA probe",
    "ALTER TABLE projects_project ADD COLUMN probe int",
    "DROP TABLE projects_task",
    "TRUNCATE projects_task CASCADE",
    "DROP SCHEMA {own} CASCADE",
    "UPDATE {own}.django_migrations SET name = 'x'",
    "CREATE ROLE probe",
    "ALTER ROLE {own} LOGIN",
    "GRANT {other} TO {own}",
    "ALTER TABLE members_membership DISABLE ROW LEVEL SECURITY",
    "CREATE POLICY probe ON members_membership USING (true)",
    "SET LOCAL row_security = off; SELECT id FROM members_membership",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "COPY projects_project TO '/tmp/probe'",
    "COPY projects_project TO PROGRAM 'true'",
    "COPY projects_project FROM '/etc/passwd'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "SELECT rolpassword FROM pg_authid",
]  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_a_tenants_role_is_refused(acme: Tenant, globex: Tenant, statement: str) -> None:
    """Raw SQL, with nothing of ours in between; and the context goes on, in the same tenant."""
    with enter(acme.pk):
        with pytest.raises(
            ProgrammingError, match=r"permission denied|must (be|have)|row-level security|does not exist"
        ):
            run(statement.format(own=acme.schema_name, other=globex.schema_name))
        assert set(Project.objects.values_list("name", flat=True)) == {"Rocket skates", "Giant magnet"}


@pytest.mark.parametrize("model", [Membership, Client, Tenant, User])
def test_shared_tables_show_a_tenant_its_own_rows(
    acme: Tenant, globex: Tenant, machine: tuple[str, str], model: type[Model]
) -> None:
    """Without any filter: row-level security alone."""
    row = {"name": "x", "scope": "projects:read", "created_by": globex.pk}
    theirs = Client.objects.create(tenant_id=globex.pk, **row)
    table, key = model._meta.db_table, model._meta.pk
    assert key is not None
    every = {row[0] for row in run(f"SELECT {key.column} FROM {table}")}  # noqa: S608 -- a constant
    seen = {}
    for tenant in (acme, globex):
        with enter(tenant.pk):
            seen[tenant.slug] = {row[0] for row in run(f"SELECT {key.column} FROM {table}")}  # noqa: S608 -- as above
    theirs.delete()
    assert seen["acme"]
    assert seen["acme"] < every
    shared = seen["acme"] & seen["globex"]
    both = User.objects.get(email="both@people.test").pk
    assert shared == ({both} if model is User else set())


def test_a_tenant_writes_its_own_rows_alone(acme: Tenant, globex: Tenant) -> None:
    """Other tenants' rows are not there to change, and a row cannot be given to another tenant."""
    with enter(acme.pk):
        with transaction.atomic():
            assert Membership.objects.update(status="suspended") == Membership.objects.count() == 5
            transaction.set_rollback(True)
        with transaction.atomic():
            assert Tenant.objects.update(name="x") == 1
            transaction.set_rollback(True)
        row = {"name": "x", "scope": "projects:read", "created_by": uuid4()}
        with transaction.atomic():
            Client.objects.create(tenant_id=acme.pk, **row)
            transaction.set_rollback(True)
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Client.objects.create(tenant_id=globex.pk, **row)


# --- The same API with our own filters gone ---------------------------------------------------------------------------


@contextmanager
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The selectors of members and clients without their tenant: the forgotten filter, everywhere at once."""
    with monkeypatch.context() as patch:
        patch.setattr(members, "members_of", lambda _: members.with_person(Membership.objects.all()))
        patch.setattr(clients, "clients_of", lambda _: Client.objects.prefetch_related("secrets"))
        yield


def test_the_members_and_clients_apis_show_no_foreign_row_without_their_filters(
    call: Call, machine: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists, single rows and searches are the same with and without: the database filters as well."""
    foreign_member = call("globex_owner", "GET", "/api/v1/members").json()["results"][0]["id"]
    paths = [
        "/api/v1/members?limit=100",
        "/api/v1/members?search=test&limit=100",
        "/api/v1/members?role=owner",
        f"/api/v1/members/{foreign_member}",
        "/api/v1/clients",
        f"/api/v1/clients/{machine[0]}",
    ]
    actors = ("acme_owner", "globex_owner")
    asked = [(actor, path) for path in paths for actor in actors]
    before = [call(actor, "GET", path) for actor, path in asked]
    with unfiltered(monkeypatch):
        after = [call(actor, "GET", path) for actor, path in asked]
    assert [answer.status_code for answer in after] == [answer.status_code for answer in before]
    assert [answer.json() for answer in after] == [answer.json() for answer in before]
    assert [answer.status_code for answer in before] == [200, 200] * 3 + [404, 200] + [200, 200] + [200, 404]


def test_a_wrong_search_path_inside_a_request_fails(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sets another tenant's path in a view: the request fails, and shows nothing."""
    other = Tenant.objects.get(slug="globex").schema_name

    def sabotage(*_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(other)))

    original = Project.objects.get_queryset

    def get_queryset() -> Any:
        sabotage()
        return original()

    monkeypatch.setattr(Project.objects, "get_queryset", get_queryset)
    response = call("acme_owner", "GET", "/api/v1/projects", host=ACME)
    assert response.status_code == 500
    assert b"Weather" not in response.content
    monkeypatch.undo()
    assert call("acme_owner", "GET", "/api/v1/projects", host=ACME).status_code == 200


def test_a_path_that_leads_to_the_wrong_schema_from_the_start_fails(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug of all schema-per-tenant systems, in our own entry: the role still is the right one."""
    _, *rest = guards.BECOME_TENANT
    wrong = guards.Column(
        "text", sql.SQL("set_config('search_path', {}, true)").format(sql.Literal(globex.schema_name))
    )
    monkeypatch.setattr(
        entry,
        "_entering",
        lambda tenant_id, guard: guards.about(tenant_id, guard, guards.compose(guard.pattern or guard, wrong, *rest)),
    )
    with enter(acme.pk), pytest.raises(ProgrammingError, match=r"permission denied|does not exist"):
        Project.objects.count()


# --- A person, in all their tenants -----------------------------------------------------------------------------------


@pytest.fixture
def two_people(unwrapped: None) -> Iterator[tuple[User, User]]:
    """Both with a sign-in; the first one with one as staff, too."""
    both, viewer = (User.objects.get(email=email) for email in ("both@people.test", "viewer@acme.test"))
    device = Device("192.0.2.1", "test")
    begun = [
        sessions.start_session(user_id=user.pk, api=api, tenant_id=None, proof=BY_PASSWORD, device=device)
        for user, api in ((both, Api.TENANT), (both, Api.OPERATOR), (viewer, Api.TENANT))
    ]
    yield both, viewer
    Session.objects.filter(pk__in=[session.pk for session, _ in begun]).delete()


def test_a_person_sees_what_is_theirs_without_any_filter(two_people: tuple[User, User]) -> None:
    """Their sign-ins to the tenant API, their memberships with the tenants' names, their own account."""
    both, viewer = two_people
    with as_person(both.pk):
        assert set(Session.objects.values_list("user_id", "api")) == {(both.pk, "tenant")}
        assert RefreshFamily.objects.only("id").count() == Session.objects.count()
        assert set(Membership.objects.values_list("tenant__slug", "role")) == {("acme", "admin"), ("globex", "viewer")}
        assert list(User.objects.values_list("pk", flat=True)) == [both.pk]
        assert Session.objects.filter(user_id=viewer.pk).update(ended_at=None) == 0
        assert User.objects.update(time_zone="UTC") == 1
    with as_person(viewer.pk):
        assert set(Tenant.objects.values_list("slug", flat=True)) == {"acme"}
    assert User.objects.count() > 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret FROM identity_sessions_refreshfamily",
        "SELECT password FROM accounts_user",
        "UPDATE accounts_user SET email = 'x'",
        "UPDATE accounts_user SET email_verified_at = now()",
        "UPDATE identity_sessions_session SET expires_at = now() + interval '9 years'",
        "UPDATE identity_sessions_session SET user_id = gen_random_uuid()",
        "DELETE FROM identity_sessions_session",
        "INSERT INTO identity_sessions_session SELECT * FROM identity_sessions_session",
        "UPDATE members_membership SET role = 'owner'",
        "SELECT id FROM clients_client",
        "SELECT * FROM keys_storedkey",
        "SELECT * FROM registry_domain",
        "SELECT * FROM operators_operator",
        "CREATE TABLE public.probe (x int)",
    ],
)
def test_what_a_person_is_refused(two_people: tuple[User, User], statement: str) -> None:
    with as_person(two_people[0].pk), pytest.raises(ProgrammingError, match="permission denied"):
        run(statement)


def test_nobody_in_particular_sees_nothing(two_people: tuple[User, User], acme: Tenant) -> None:
    """The role without a person; and a person is in no tenant, nor somebody else's afterwards."""
    for table in ("identity_sessions_session", "accounts_user"):
        assert run(f"SET LOCAL ROLE {people_role()}; SELECT id FROM {table}") == []  # noqa: S608 -- constants
    with enter(acme.pk), pytest.raises(AlreadyInTenant), as_person(two_people[0].pk):
        pass
    with transaction.atomic():
        with as_person(two_people[0].pk):
            assert run("SELECT current_user") == [(people_role(),)]
        assert run("SELECT current_user = session_user, current_setting('tenantry.person')") == [(True, "")]


def test_the_sessions_api_shows_no_foreign_row_without_its_filter(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [sign_in(Actor("both@people.test", ACME)), sign_in(CAST["acme_viewer"])]

    def listed() -> list[set[str]]:
        headers = [{"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}"} for token in tokens]
        answers = [call("nobody", "GET", "/api/v1/me/sessions?limit=100", **header).json() for header in headers]
        return [{row["id"] for row in answer["results"]} for answer in answers]

    before = listed()
    everything = Session.objects.annotate(last_used_at=Max("families__rotated_at"))
    monkeypatch.setattr(session_selectors, "sessions_of", lambda *_: everything.filter(ended_at=None))
    assert listed() == before
    assert all(before)
    assert not before[0] & before[1]


# --- Fail closed ------------------------------------------------------------------------------------------------------


def test_a_tenant_without_a_role_or_without_tables_is_not_entered(unwrapped: None) -> None:
    tenant = Tenant.objects.create(name="Hollow", slug="hollow")
    try:
        with pytest.raises(Exception, match="does not exist"), enter(tenant.pk):
            pass
        with as_owner():
            services.create_role(schema_name=tenant.schema_name)
        with pytest.raises(NoSuchSchema), enter(tenant.pk):
            pass
    finally:
        tenant.delete()
        with connections["owner"].cursor() as cursor:
            cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(tenant.schema_name)))


def test_provisioning_leaves_a_role_with_rows_and_no_structure(unwrapped: None) -> None:
    """And removing the tenant leaves no role."""
    with provisioned("walled-in") as tenant:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls"
                " FROM pg_roles WHERE rolname = %s",
                [tenant.schema_name],
            )
            assert cursor.fetchall() == [(False,) * 5]
            cursor.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s", [tenant.schema_name])
            assert cursor.fetchone() != (tenant.schema_name,)
        with enter(tenant.pk):
            Project.objects.create(name="Mine", created_by=uuid4())
    assert run(f"SELECT count(*) FROM pg_roles WHERE rolname = '{tenant.schema_name}'") == [(0,)]  # noqa: S608 -- generated


def test_the_app_has_nothing_of_a_tenant_until_it_becomes_it(acme: Tenant) -> None:
    """NOINHERIT: whoever forgets to enter reaches no tenant's table, by name or otherwise."""
    for statement in (
        f"SELECT * FROM {acme.schema_name}.projects_project",  # noqa: S608 -- generated
        f"SET LOCAL search_path TO {acme.schema_name}; SELECT * FROM projects_project",  # noqa: S608 -- as above
        f"CREATE TABLE {acme.schema_name}.probe (x int)",
        "CREATE TABLE public.probe (x int)",
        "ALTER TABLE registry_tenant DISABLE ROW LEVEL SECURITY",
        f"GRANT {group_role()} TO CURRENT_USER",
        "CREATE ROLE probe",
    ):
        with pytest.raises(ProgrammingError, match=r"permission denied|must (be|have)|does not exist"):
            run(statement)


def test_the_owner_is_at_work_where_it_is_said_and_nowhere_else(unwrapped: None) -> None:
    """Its queries are one transaction; afterwards they go to the app's connection again."""
    assert current_alias() == "default"
    with contextlib.suppress(LookupError), as_owner():
        assert current_alias() == "owner"
        assert Tenant.objects.filter(slug="acme").update(name="Changed") == 1
        raise LookupError
    assert current_alias() == "default"
    assert Tenant.objects.get(slug="acme").name == "Acme Corporation"


def test_a_process_without_the_owners_url_changes_no_structure(
    unwrapped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves; it makes a tenant only from a spare, and whoever asks for the owner is told what is missing."""
    monkeypatch.setitem(connections["owner"].settings_dict, "USER", "")
    with pytest.raises(NoSpare), provisioned("no-owner"):
        pass
    with pytest.raises(ImproperlyConfigured, match="DATABASE_OWNER_URL is not set"), as_owner():
        pass
    assert current_alias() == "default"


# --- Who may serve ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="only an embedded server has a superuser of ours")
@pytest.mark.parametrize("right", ["SUPERUSER", "BYPASSRLS"])
def test_a_server_does_not_start_as_a_role_past_the_wall(unwrapped: None, right: str) -> None:
    """The process ends, and says which role and why."""
    settings_dict = connection.settings_dict
    password = (settings.DATA_DIR / "postgres" / "postgres.password").resolve().read_text()
    address = "{HOST}:{PORT}/{NAME}".format(**settings_dict)
    role = sql.Identifier("past_the_wall")
    with psycopg.connect(f"postgresql://postgres:{password}@{address}", autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' {}").format(role, sql.SQL(right)))
        try:
            environment = os.environ | urls() | {"DATABASE_URL": f"postgresql://past_the_wall:x@{address}"}
            environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
            command = [sys.executable, "-c", "import config.wsgi"]
            result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        finally:
            superuser.execute(sql.SQL("DROP ROLE {}").format(role))
    assert result.returncode != 0
    assert "DATABASE_URL logs in as 'past_the_wall', which" in result.stderr
    assert {"SUPERUSER": "is a superuser", "BYPASSRLS": "bypasses row-level security"}[right] in result.stderr


def test_the_owner_may_not_serve(unwrapped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A superuser, an owner, or a role past row-level security would go around the wall: said before anything is."""
    monkeypatch.setattr(DatabaseWrapper, "_examined", False)
    wrapper = DatabaseWrapper(connections["owner"].settings_dict, alias="default")
    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match="owns the tables"), wrapper.cursor():
            pass
    assert wrapper.connection is None
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert DatabaseWrapper._examined


# --- Every shared table is accounted for ------------------------------------------------------------------------------


def ids() -> set[str]:
    return {error.id or "" for error in run_checks(tags=["models"])}


def test_every_shared_model_says_what_tenants_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one that does not, or opens a column that it does not have, stops the project from starting."""
    assert not ids() & {"tenants.E004", "tenants.E005"}
    known = dict(openings.declared())
    monkeypatch.setattr(openings, "_declared", {k: v for k, v in known.items() if k != Session._meta.db_table})
    assert "tenants.E004" in ids()
    wrong = openings.Opening("true", ["no_such_column"])
    monkeypatch.setattr(openings, "_declared", known | {Session._meta.db_table: wrong})
    assert "tenants.E005" in ids()


@pytest.mark.parametrize("role", ["tenants", "people"])
def test_postgres_grants_exactly_what_is_declared(unwrapped: None, role: str) -> None:
    """No table more, no column more; and row-level security is on for every shared table there is."""
    to_tenants = {table: opening for table, opening in openings.declared().items() if opening is not None}
    declared = to_tenants if role == "tenants" else openings.declared_to_people()
    grantee = group_role() if role == "tenants" else people_role()
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a"
            " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = %s::regrole",
            [grantee],
        )
        whole_tables = set(cursor.fetchall())
        assert whole_tables == {(table, "DELETE") for table, opening in declared.items() if opening.delete}
        for verb in ("SELECT", "INSERT", "UPDATE"):
            cursor.execute(
                "SELECT c.relname, array_agg(t.attname::text)"
                " FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a"
                " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = %s::regrole"
                " AND a.privilege_type = %s GROUP BY 1",
                [grantee, verb],
            )
            granted = {table: set(columns) for table, columns in cursor.fetchall()}
            wanted = {table: set(getattr(opening, verb.lower())) for table, opening in declared.items()}
            assert granted == {table: columns for table, columns in wanted.items() if columns}, verb
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relrowsecurity"
        )
        assert cursor.fetchall() == []


def test_building_the_wall_again_changes_nothing(unwrapped: None, acme: Tenant) -> None:
    """As every deploy does."""
    services.build_shared()
    services.build_tenant(schema_name=acme.schema_name)
    with enter(acme.pk):
        assert Project.objects.count() == 2
        assert Membership.objects.count() == 5
