"""How to enter by a guard is kept in the database: the same as the guard's statement says, for the app alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import ProgrammingError, connection, connections
from django.test.utils import CaptureQueriesContext
from psycopg import sql
from rest_framework.test import APIClient

from config import health
from identity.accounts.models import User
from identity.members.models import Membership
from identity.sessions.models import Api, Session
from identity.tokens import liveness
from tenants.context.entrances import _OURS, _UNUSED, are_made, build
from tenants.context.entry import enter, look
from tenants.context.errors import NoSuchTenant
from tenants.context.guards import Guard
from tenants.registry.models import Tenant
from tenants.wall.roles import OWNER, app_role
from tests.conftest import API_HOST

OURS = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'enter\\_%%'"

pytestmark = pytest.mark.usefixtures("unwrapped")


def names() -> set[str]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(OURS)
        return {name for (name,) in cursor.fetchall()}


@pytest.fixture
def another(unwrapped: None) -> Iterator[str]:
    """An entrance that another release has made."""
    name = "enter_member_0123456789ab"
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION public.{name}() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        cursor.execute(f"COMMENT ON FUNCTION public.{name} IS '{_OURS}'")
        yield name
        cursor.execute(f"DROP FUNCTION IF EXISTS public.{name}")


@pytest.fixture
def member(tokens: dict[str, dict[str, Any]], unwrapped: None) -> Guard:
    """A guard about somebody who is signed in."""
    user = User.objects.get(email="member@acme.test")
    session = Session.objects.filter(user=user, ended_at=None, api=Api.TENANT).latest("expires_at")
    membership = Membership.objects.get(user=user, tenant__slug="acme")
    return liveness._members().about(person_id=user.pk, session_id=session.pk, version=membership.version, kid=None)


def test_every_kind_of_caller_has_one() -> None:
    kinds = {name.removeprefix("enter_").rpartition("_")[0] for name in names()}
    assert kinds >= {"member", "client", "support", "reading_support", "directory"}
    assert are_made()


def test_only_the_one_for_support_that_reads_lets_nobody_write() -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"{OURS} AND prosrc LIKE '%%transaction_read_only%%'")
        assert [name.rpartition("_")[0] for (name,) in cursor.fetchall()] == ["enter_reading_support"]


def test_what_it_finds_is_what_looking_finds(acme: Tenant, member: Guard) -> None:
    looked = look(acme.pk, guard=member)
    with CaptureQueriesContext(connection) as queries, enter(acme.pk, guard=member) as entry:
        pass
    assert queries[0]["sql"].startswith('BEGIN; SELECT * FROM "public"."enter_member_')
    assert entry == looked
    assert entry.found["is_live"] is True


@pytest.mark.parametrize("wrong", ["person_id", "session_id", "version", "kid"])
def test_whoever_is_not_there_any_more_is_seen(acme: Tenant, member: Guard, wrong: str) -> None:
    other: Any = {"version": 1, "kid": "'; DROP TABLE registry_tenant; --"}.get(wrong, uuid4())
    guard = liveness._members().about(**{**member.values, wrong: other})
    with enter(acme.pk, guard=guard) as entry:
        assert entry.found["is_live"] is False


def test_a_tenant_that_is_not_there_is_not_entered(member: Guard) -> None:
    with pytest.raises(NoSuchTenant), enter(uuid4(), guard=member):
        pass
    assert not connection.in_atomic_block


@pytest.mark.parametrize("value", [1.5, b"x", True, ["a"]])
def test_what_cannot_be_put_into_a_statement_is_refused(acme: Tenant, member: Guard, value: Any) -> None:
    guard = liveness._members().about(**{**member.values, "version": value})
    with pytest.raises(TypeError), enter(acme.pk, guard=guard):
        pass


def test_the_plan_is_kept_for_all_tenants(acme: Tenant, globex: Tenant, member: Guard) -> None:
    """What a prepared statement would not do: a new search path has Postgres plan it again."""
    for tenant in (acme, globex) * 10:
        with enter(tenant.pk, guard=member) as entry, connection.cursor() as cursor:
            cursor.execute("SELECT current_schema(), current_user")
            assert cursor.fetchone() == (tenant.schema_name, tenant.schema_name)
            assert entry.tenant.id == tenant.pk
            assert entry.found["is_live"] is (tenant == acme)


def test_a_tenant_cannot_call_it(acme: Tenant, member: Guard) -> None:
    """It would find nothing there; but nobody calls it who is in a tenant already."""
    name = next(each for each in names() if each.startswith("enter_member_"))
    with enter(acme.pk), connection.cursor() as cursor, pytest.raises(ProgrammingError, match="permission denied"):
        cursor.callproc(name, [acme.pk, uuid4(), uuid4(), 1, "kid"])


def test_making_them_again_changes_nothing() -> None:
    before = names()
    build()
    assert names() == before


def test_another_role_that_serves_may_call_them_once_everything_is_migrated(unwrapped: None) -> None:
    name = next(each for each in names() if each.startswith("enter_member_"))
    app = sql.Identifier(app_role())
    with connections[OWNER].cursor() as cursor:
        cursor.execute(sql.SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(sql.Identifier("public", name), app))
        build()
        cursor.execute("SELECT has_function_privilege(%s, %s::regproc, 'EXECUTE')", [app_role(), f"public.{name}"])
        assert cursor.fetchone() == (True,)


def test_two_that_migrate_at_once_make_each_of_them_once(unwrapped: None) -> None:
    before = names()
    with connections[OWNER].cursor() as cursor:
        for name in before:
            cursor.execute(f"DROP FUNCTION public.{name}")

    def migrate() -> None:
        build()
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate) for _ in range(4)]:
            done.result()
    assert names() == before


def test_another_releases_stays_for_a_day(another: str) -> None:
    build()
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regproc, 'pg_proc')", [f"public.{another}"])
        (comment,) = cursor.fetchone()
        assert comment.startswith(_UNUSED)
        build()
        assert another in names()
        long_ago = sql.Literal(f"{_UNUSED}2026-01-01T00:00:00+00:00")
        cursor.execute(sql.SQL("COMMENT ON FUNCTION {} IS {}").format(sql.Identifier("public", another), long_ago))
    build()
    assert another not in names()


def test_one_that_is_used_again_is_not_removed() -> None:
    name = next(each for each in names() if each.startswith("enter_member_"))
    with connections[OWNER].cursor() as cursor:
        long_ago = sql.Literal(f"{_UNUSED}2026-01-01T00:00:00+00:00")
        cursor.execute(sql.SQL("COMMENT ON FUNCTION {} IS {}").format(sql.Identifier("public", name), long_ago))
        build()
        cursor.execute("SELECT obj_description(%s::regproc, 'pg_proc')", [f"public.{name}"])
        assert cursor.fetchone() == (_OURS,)


def test_a_function_of_somebody_elses_is_left_alone(another: str) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"COMMENT ON FUNCTION public.{another} IS NULL")
        build()
        cursor.execute("SELECT obj_description(%s::regproc, 'pg_proc')", [f"public.{another}"])
        assert cursor.fetchone() == (None,)


def test_without_them_nobody_is_sent_here() -> None:
    """A deploy that has not migrated yet."""
    name = next(each for each in names() if each.startswith("enter_client_"))
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"ALTER FUNCTION public.{name} RENAME TO was_{name}")
    health.forget()
    try:
        response = APIClient().get("/health/ready", HTTP_HOST=API_HOST)
        assert (response.status_code, response.json()["code"]) == (503, "migrations_behind")
    finally:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(f"ALTER FUNCTION public.was_{name} RENAME TO {name}")
        health.forget()
    assert APIClient().get("/health/ready", HTTP_HOST=API_HOST).status_code == 200
