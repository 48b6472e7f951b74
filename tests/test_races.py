"""At the same time: real connections, real commits, many threads, and exactly the states that are allowed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from config import environment
from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.members.models import Membership
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.committed import drop_schema, provisioned, schemas
from tests.conftest import API_HOST, CAST, sign_in

OWNERS = ("first@race.test", "second@race.test")


@pytest.fixture
def tenant(unwrapped: None) -> Iterator[Tenant]:
    """A tenant of this test's own, with two owners."""
    with provisioned("race-track") as tenant:
        for email in OWNERS:
            user = accounts.create_user(email=email, password=PASSWORD)
            members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.OWNER)
        yield tenant
    User.objects.filter(email__in=OWNERS).delete()


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Run every job in a thread and on a connection of its own, all beginning together, and return what each gave."""
    start = threading.Barrier(len(jobs), timeout=10)

    def run(job: Callable[[], Any]) -> Any:
        try:
            start.wait()
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def post(path: str, body: dict[str, Any], *, host: str = API_HOST, token: str | None = None) -> Any:
    extra = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
    return APIClient(raise_request_exception=False).post(path, body, HTTP_HOST=host, **extra)


def tokens(email: str, tenant: Tenant) -> dict[str, Any]:
    body = {"email": email, "password": PASSWORD, "tenant": tenant.slug}
    response: dict[str, Any] = post("/api/v1/auth/login", body).json()
    return response


def test_two_owners_who_demote_each_other_leave_one(tenant: Tenant) -> None:
    """20 rounds: never none. The loser of a round is told why."""
    for round_number in range(20):
        Membership.objects.filter(tenant=tenant).update(role=Role.OWNER)
        rows = list(Membership.objects.filter(tenant=tenant).order_by("joined_at"))
        access = [tokens(email, tenant)["access_token"] for email in OWNERS]

        def demote(target: Membership, token: str) -> int:
            client = APIClient(raise_request_exception=False)
            path = f"/api/v1/members/{target.pk}"
            headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
            return int(client.patch(path, {"role": "viewer"}, **headers).status_code)

        statuses = at_once([lambda: demote(rows[1], access[0]), lambda: demote(rows[0], access[1])])  # noqa: B023 -- run before the next round
        roles = sorted(Membership.objects.filter(tenant=tenant).values_list("role", flat=True))
        assert roles == ["owner", "viewer"], round_number
        assert min(statuses) == 200
        assert max(statuses) in {401, 403}


def test_s3_one_refresh_token_has_one_successor(tenant: Tenant) -> None:
    """Stock: 8 uses at once give up to 8 live successors. Ours: whoever is answered gets the same one."""
    for _ in range(10):
        text = tokens(OWNERS[0], tenant)["refresh_token"]
        body = {"refresh_token": text}
        answers = at_once([lambda: post("/api/v1/auth/refresh", body)] * 8)  # noqa: B023 -- run before the next round
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_one_address_has_one_account(unwrapped: None) -> None:
    """Registered eight times at once: everybody is told the same."""
    body = {"email": "Crowd@race.test", "password": "a rather long password"}
    try:
        answers = at_once([lambda: post("/api/v1/auth/register", body)] * 8)
        assert [answer.status_code for answer in answers] == [201] * 8
        assert User.objects.filter(email="crowd@race.test").count() == 1
    finally:
        User.objects.filter(email="crowd@race.test").delete()


def test_one_slug_has_one_tenant(unwrapped: None) -> None:
    """Eight creations at once: one wins, seven are told, and no schema is left over."""
    before = schemas()
    token = sign_in(CAST["operator"])["access_token"]
    body = {"slug": "crowded", "name": "Crowded"}
    answers = at_once([lambda: post("/operator/v1/tenants", body, token=token)] * 8)
    created = [answer.json()["schema_name"] for answer in answers if answer.status_code == 201]
    try:
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
        assert schemas() - before == set(created)
    finally:
        Tenant.objects.using("owner").filter(slug="crowded").delete()
        for name in created:
            drop_schema(name)


def test_two_processes_that_prepare_development_share_its_secrets(tmp_path: Any) -> None:
    """The first of many writers wins, and everybody reads the same."""

    def read() -> str:
        return environment.secret("X", "", file=tmp_path / "keys" / "x", generate=environment.random_secret)

    assert len(set(at_once([read] * 8))) == 1
    assert (tmp_path / "keys" / "x").stat().st_mode & 0o777 == 0o600
