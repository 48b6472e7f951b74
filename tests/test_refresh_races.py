"""Refresh tokens under fire: however many use one at once, it has one successor; an old one ends the whole session."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.sessions.models import Api, EndReason, RefreshFamily, Session
from identity.sessions.proof import BY_PASSWORD
from identity.sessions.rotation import rotating
from identity.sessions.services import Device
from identity.tokens import services as tokens
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.committed import provisioned
from tests.conftest import ACME, API_HOST, Actor, Call
from tests.conftest import sign_in as sign_in_over_api
from tests.serving import Answer, ask_once, serving
from tests.test_races import at_once

EMAIL = "runner@refresh.test"
PROCESSES, USES, ROUNDS, FIGHTS = 2, 16, 200, 30
HEAD_START_SECONDS = 0.02
Tokens = dict[str, Any]


@pytest.fixture(scope="module")
def ports(django_db_setup: None) -> Iterator[list[int]]:
    """Two server processes, whose threads together are as many as use a token at once."""
    with serving(PROCESSES, threads=USES // PROCESSES) as ports:
        yield ports


@pytest.fixture
def tenant(unwrapped: None) -> Iterator[Tenant]:
    """A tenant of this test's own, with one member."""
    with provisioned("refresh-track") as tenant:
        user = accounts.create_user(email=EMAIL, password=PASSWORD)
        members.add_member(tenant_id=tenant.pk, user_id=user.pk, role=Role.MEMBER)
        yield tenant
    User.objects.filter(email=EMAIL).delete()


def sign_in(tenant: Tenant) -> Tokens:
    """A new session, as after the password was checked."""
    issued = tokens.sign_in(
        user=User.objects.get(email=EMAIL),
        host_tenant=None,
        slug=tenant.slug,
        scope="",
        proof=BY_PASSWORD,
        device=Device(None, ""),
    )
    return {"access_token": issued.access_token, "refresh_token": issued.refresh_token}


def refresh(port: int, held: Tokens, *, after: float = 0) -> Answer:
    time.sleep(after)
    body = {"refresh_token": held["refresh_token"]}
    return ask_once(port, "POST", "/api/v1/auth/refresh", host=API_HOST, body=body)


def me(port: int, held: Tokens) -> Answer:
    return ask_once(port, "GET", "/api/v1/me", host=API_HOST, token=held["access_token"])


def uses(ports: list[int], held: Tokens, **more: Any) -> list[Callable[[], Answer]]:
    """As many uses of one refresh token as there are threads, half of them on each process."""
    return [partial(refresh, port, held, **more) for port in ports for _ in range(USES // PROCESSES)]


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


def test_many_uses_at_once_have_one_successor(tenant: Tenant, ports: list[int]) -> None:
    """200 generations of one family, each asked for 16 times at once: all are answered, and told the same."""
    held, answers = sign_in(tenant), []
    for generation in range(1, ROUNDS + 1):
        answers = at_once(uses(ports, held))
        assert statuses(answers) == {200}, (generation, answers)
        successors = {answer.json["refresh_token"] for answer in answers}
        assert len(successors) == 1, generation
        assert held["refresh_token"] not in successors
        held = answers[0].json
    assert RefreshFamily.objects.get(session__user__email=EMAIL).generation == ROUNDS + 1
    assert statuses([me(port, answer.json) for answer in answers for port in ports]) == {200}
    assert refresh(ports[0], held).status == 200


def test_a_use_that_waited_for_another_sees_what_that_one_did(tenant: Tenant, ports: list[int]) -> None:
    """It was the current token's when it came, and is two generations old when its turn comes: that is a replay."""
    held = sign_in(tenant)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            text = held["refresh_token"]
            for _ in range(2):
                with rotating(text=text, api=Api.TENANT) as rotated:
                    assert rotated is not None
                    text = str(rotated.refresh_token)
            waiting = pool.submit(refresh, ports[0], held)
            until_somebody_waits_for_a_lock()
        assert waiting.result().outcome == (401, "invalid_token")
    family = RefreshFamily.objects.get(session__user__email=EMAIL)
    assert (family.generation, family.session.end_reason) == (3, EndReason.REFRESH_REUSED)


def until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.rowcount:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits for the row's lock")


def test_an_old_token_ends_the_session_whoever_is_first(tenant: Tenant, ports: list[int]) -> None:
    """16 uses of a token two generations old beside 16 of the current one, which of them ahead in turns.

    The old one is refused always; the current one may have won before, but what it gave is worth nothing afterwards.
    Nobody waits for ever and nobody gets an error of ours.
    """
    seen: set[int] = set()
    for number in range(FIGHTS):
        old = sign_in(tenant)
        current = refresh(ports[0], refresh(ports[1], old).json).json
        late = [(0.0, HEAD_START_SECONDS), (HEAD_START_SECONDS, 0.0), (0.0, 0.0)][number % 3]
        pairs = zip(uses(ports, old, after=late[0]), uses(ports, current, after=late[1]), strict=True)
        answers = at_once([job for pair in pairs for job in pair])
        won = [answer.json for answer in answers if answer.status == 200]
        seen |= statuses(answers)
        assert {answer.outcome for answer in answers[::2]} == {(401, "invalid_token")}, number
        assert statuses(answers) <= {200, 401}, number
        assert len({held["refresh_token"] for held in won}) <= 1, number
        assert all_are_dead(ports, [old, current, *won]), number
    assert seen == {200, 401}, "the current token won at times, and lost at times"
    ends = Session.objects.filter(user__email=EMAIL).values_list("end_reason", flat=True)
    assert list(ends) == [EndReason.REFRESH_REUSED] * FIGHTS


def all_are_dead(ports: list[int], chain: list[Tokens]) -> bool:
    """Tell whether each process refuses all these tokens, of both kinds."""
    answers = [call(port, held) for port in ports for held in chain[-2:] for call in (refresh, me)]
    answers += [me(port, held) for port in ports for held in chain[:-2]]
    return {answer.outcome for answer in answers} == {(401, "invalid_token")}


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_a_replayed_token_ends_the_session_in_every_tenant(call: Call, generations: int) -> None:
    """The newest refresh token is refused, and each access token of the session, of whichever age and tenant."""
    chain = [sign_in_over_api(Actor("both@people.test", ACME))]
    bystander = sign_in_over_api(Actor("both@people.test", ACME))
    for _ in range(generations):
        chain.append(post(call, "refresh", {"refresh_token": chain[-1]["refresh_token"]}).json())
    away = post(call, "switch", {"tenant": "globex"}, chain[0]["access_token"]).json()
    everything = [*chain, away]
    assert [status_of(call, held) for held in everything] == [200] * len(everything)
    if generations == 1:
        RefreshFamily.objects.update(rotated_at=timezone.now() - settings.REFRESH_GRACE - timedelta(seconds=1))

    replayed = post(call, "refresh", {"refresh_token": chain[0]["refresh_token"]})
    assert (replayed.status_code, replayed.json()["code"]) == (401, "invalid_token")
    assert [status_of(call, held) for held in everything] == [401] * len(everything)
    for held in (chain[-1], away):
        assert post(call, "refresh", {"refresh_token": held["refresh_token"]}).status_code == 401
    assert status_of(call, bystander) == 200
    assert post(call, "refresh", {"refresh_token": bystander["refresh_token"]}).status_code == 200


def post(call: Call, what: str, body: dict[str, str], token: str | None = None) -> Any:
    extra = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
    return call("nobody", "POST", f"/api/v1/auth/{what}", body, host=API_HOST, **extra)


def status_of(call: Call, held: Tokens) -> int:
    """What the access token gets."""
    extra = {"HTTP_AUTHORIZATION": f"Bearer {held['access_token']}"}
    return int(call("nobody", "GET", "/api/v1/me", host=API_HOST, **extra).status_code)
