"""Requests are counted per principal, address and account; a refusal says when to go on, and going on then works."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from permissions import limits
from permissions.throttles import LimitThrottle
from tests.conftest import ACME, API_HOST, GLOBEX, Call
from tests.test_declarations import BOTH, ids, routed, view
from tests.test_races import at_once
from tests.test_settings import PRODUCTION, start

LOGIN, OPERATOR_LOGIN = "/api/v1/auth/login", "/operator/v1/auth/login"
STEP_UP, CHANGE = "/api/v1/auth/step-up", "/api/v1/auth/password/change"
PROJECTS, REGISTER = "/api/v1/projects", "/api/v1/auth/register"
VICTIM, HOME = "member@acme.test", "192.0.2.7"
WRONG = "not-the-password-of-anybody"


@pytest.fixture
def rates(settings: Any) -> Iterator[dict[str, str]]:
    """Limits are on; the test may change their rates."""
    limits.forget()
    settings.THROTTLES, settings.THROTTLE_RATES = True, {}
    yield settings.THROTTLE_RATES
    limits.forget()


@pytest.fixture
def throttled(call: Call, rates: dict[str, str]) -> Call:
    """``call``, whose cast has signed in already, with limits on."""
    return call


def sign_in(call: Call, email: str, password: str = WRONG, address: str = "203.0.113.1", host: str = ACME) -> Any:
    body = {"email": email, "password": password}
    return call("nobody", "POST", LOGIN, body, host=host, REMOTE_ADDR=address)


def strangers() -> Iterator[str]:
    """Addresses that no account knows, each of another client."""
    return iter([f"198.51.100.{number}" for number in range(1, 255)])


def statuses(answers: list[Any]) -> list[int]:
    return [answer.status_code for answer in answers]


def fields(header: str) -> dict[str, dict[str, int]]:
    """Parse a List of String Items with Integer parameters (RFC 9651)."""
    found = {}
    for item in header.split(", "):
        match = re.fullmatch(r'"([ -!#-\[\]-~]+)"((?:;[a-z]+=\d{1,15})+)', item)
        assert match, header
        found[match[1]] = {name: int(value) for name, value in re.findall(r";([a-z]+)=(\d+)", match[2])}
    return found


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "host", "actor", "quota"),
    [
        (LOGIN, ACME, "nobody", 30),
        (OPERATOR_LOGIN, API_HOST, "nobody", 30),
        (STEP_UP, ACME, "acme_member", 30),
        (CHANGE, ACME, "acme_member", 30),
        ("/operator/v1/auth/step-up", API_HOST, "operator", 30),
        (REGISTER, ACME, "nobody", 20),
        ("/api/v1/auth/logout", ACME, "nobody", 300),
    ],
)
def test_a_limit_by_address_at_its_edge(throttled: Call, path: str, host: str, actor: str, quota: int) -> None:
    """As many as it says, then none; other addresses are not concerned. A request that is refused counts too."""
    send = lambda address: throttled(actor, "POST", path, {"x": 1}, host=host, REMOTE_ADDR=address)  # noqa: E731
    assert statuses([send("203.0.113.1") for _ in range(quota + 1)]) == [400] * quota + [429]
    assert send("203.0.113.2").status_code == 400


def test_ways_to_prove_a_password_share_a_limit(throttled: Call) -> None:
    sent = [(LOGIN, ACME, "nobody"), (OPERATOR_LOGIN, API_HOST, "nobody"), (STEP_UP, ACME, "acme_member")] * 10
    answers = [throttled(actor, "POST", path, {"x": 1}, host=host) for path, host, actor in sent]
    assert statuses(answers) == [400] * 30
    assert throttled("acme_owner", "POST", CHANGE, {"x": 1}).status_code == 429


def test_a_principal_has_a_limit_of_their_own(throttled: Call, rates: dict[str, str]) -> None:
    """Wherever they call from, and whatever the answer is. Who shares the address does not share the limit."""
    rates["principal"] = "4/min"
    sent = [("GET", PROJECTS), ("GET", "/api/v1/me"), ("DELETE", PROJECTS), ("PATCH", "/api/v1/tenant")]
    answers = [throttled("acme_viewer", *what, REMOTE_ADDR=f"192.0.2.{i}") for i, what in enumerate(sent)]
    assert statuses(answers) == [200, 200, 405, 403]
    assert [fields(answer.headers["RateLimit"])["principal"]["r"] for answer in answers] == [3, 2, 1, 0]
    for method, path in sent:
        assert throttled("acme_viewer", method, path).status_code == 429
    assert throttled("acme_member", "GET", PROJECTS).status_code == 200
    assert throttled("acme_client", "GET", PROJECTS).status_code == 200


def test_refused_tokens_are_counted_for_nobody(throttled: Call, rates: dict[str, str]) -> None:
    """The clients of everybody else behind the address must still learn that their token has expired."""
    rates["anonymous"] = "2/min"
    answers = [throttled("nobody", "GET", PROJECTS, HTTP_AUTHORIZATION="Bearer x.y.z") for _ in range(10)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "invalid_token")}


def test_people_behind_one_network_of_ipv6_are_one(throttled: Call, rates: dict[str, str]) -> None:
    rates["anonymous"] = "2/min"
    send = lambda address: throttled("nobody", "GET", "/.well-known/jwks.json", host=API_HOST, REMOTE_ADDR=address)  # noqa: E731
    assert statuses([send(f"2001:db8:0:1::{number}") for number in range(3)]) == [200, 200, 429]
    assert send("2001:db8:0:2::1").status_code == 200


def test_a_limit_of_the_tenant(throttled: Call, rates: dict[str, str], settings: Any) -> None:
    """It is the members' together, and no other tenant's."""
    rates["invitations"] = "2/min"
    probe = view(scopes=BOTH, throttles={"POST": "invitations"})
    with routed(probe.as_view()) as errors:
        assert errors == []
        settings.TENANT_URLCONF = "tests.probe_urls"
        post_as = lambda actor, host: throttled(actor, "POST", "/probe/0", {}, host=host)  # noqa: E731
        answers = [post_as(actor, ACME) for actor in ("acme_owner", "acme_admin", "acme_owner")]
        assert statuses(answers) == [200, 200, 429]
        assert set(fields(answers[0].headers["RateLimit"])) == {"invitations", "principal"}
        assert post_as("globex_owner", GLOBEX).status_code == 200
        assert throttled("acme_owner", "GET", "/probe/0").status_code == 200


def test_off_is_off(call: Call) -> None:
    answers = [call("nobody", "POST", REGISTER, {"x": 1}) for _ in range(25)]
    assert set(statuses(answers)) == {400}
    assert not any(name.startswith("RateLimit") for answer in answers for name in answer.headers)


# --- What the answer says ---------------------------------------------------------------------------------------------


def test_every_answer_says_what_is_left(throttled: Call) -> None:
    nothing = f"{PROJECTS}/00000000-0000-4000-8000-000000000000"
    asked = [("acme_viewer", "GET", PROJECTS), ("acme_viewer", "GET", nothing), ("acme_viewer", "POST", PROJECTS)]
    for number, (actor, method, path) in enumerate([*asked, ("acme_member", "POST", PROJECTS)]):
        answer = throttled(actor, method, path)
        assert answer.status_code == [200, 404, 403, 400][number]
        assert fields(answer.headers["RateLimit-Policy"]) == {"principal": {"q": 1200, "w": 60}}
        assert fields(answer.headers["RateLimit"])["principal"]["r"] == 1200 - 1 - number % 3
    answer = throttled("nobody", "POST", LOGIN, {"x": 1})
    assert answer.headers["RateLimit-Policy"] == '"sign_in";q=30;w=60'
    assert answer.headers["RateLimit"] == '"sign_in";r=29;t=60'
    answer = throttled("acme_member", "POST", STEP_UP, {"x": 1})
    assert fields(answer.headers["RateLimit-Policy"]) == {
        "sign_in": {"q": 30, "w": 60},
        "principal": {"q": 1200, "w": 60},
    }


def test_a_refusal_is_a_problem_and_going_on_when_it_says_works(throttled: Call, rates: dict[str, str]) -> None:
    rates["principal"] = "2/2s"
    assert statuses([throttled("acme_member", "GET", PROJECTS) for _ in range(2)]) == [200, 200]
    time.sleep(0.5)
    answer = throttled("acme_member", "GET", PROJECTS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (429, "application/problem+json")
    assert answer.json()["code"] == "throttled"
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["RateLimit"] == '"principal";r=0;t=2'
    time.sleep(int(answer.headers["Retry-After"]))
    assert throttled("acme_member", "GET", PROJECTS).status_code == 200


def test_browser_apps_may_read_it(throttled: Call, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    answer = throttled("acme_member", "GET", PROJECTS, HTTP_ORIGIN="https://app.example.com")
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= exposed


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_failures_of_one_address_at_their_edge(throttled: Call) -> None:
    """Ten in a minute, whosever; then not even the right password is looked at. Successes do not count."""
    assert statuses([sign_in(throttled, VICTIM, PASSWORD) for _ in range(3)]) == [200] * 3
    answers = [sign_in(throttled, f"{number}@people.test") for number in range(11)]
    assert statuses(answers) == [401] * 10 + [429]
    assert sign_in(throttled, VICTIM, PASSWORD).status_code == 429
    assert 50 < int(answers[-1].headers["Retry-After"]) <= 60
    assert fields(answers[-1].headers["RateLimit"])["sign_in_failures"]["r"] == 0
    assert sign_in(throttled, VICTIM, PASSWORD, address="203.0.113.2").status_code == 200


def test_failures_of_one_account_grow_its_delay(throttled: Call) -> None:
    """Five are free; then 1 s, 3 s ... A try that comes too early is refused unseen, and makes nothing worse. The right
    password in time gets in, and all is forgotten.
    """
    address = strangers()
    assert statuses([sign_in(throttled, VICTIM, address=next(address)) for _ in range(5)]) == [401] * 5
    for delay in (1, 3):
        too_early = [sign_in(throttled, VICTIM, PASSWORD, address=next(address)) for _ in range(3)]
        assert statuses(too_early) == [429] * 3
        assert {answer.headers["Retry-After"] for answer in too_early} == {str(delay)}
        time.sleep(delay)
        password = WRONG if delay == 1 else PASSWORD
        assert sign_in(throttled, VICTIM, password, address=next(address)).status_code == (401 if delay == 1 else 200)
    assert statuses([sign_in(throttled, VICTIM, address=next(address)) for _ in range(6)]) == [401] * 5 + [429]


def test_the_operator_api_and_the_tenant_api_count_together(throttled: Call) -> None:
    address = strangers()
    for number in range(6):
        path, host = [(LOGIN, ACME), (OPERATOR_LOGIN, API_HOST)][number % 2]
        body = {"email": " Operator@Platform.test", "password": WRONG}
        answer = throttled("nobody", "POST", path, body, host=host, REMOTE_ADDR=next(address))
        assert answer.status_code == (401 if number < 5 else 429)


@pytest.mark.parametrize("home", [HOME, "2001:db8:0:7::1"])
def test_the_victim_is_not_kept_out(throttled: Call, home: str) -> None:
    """Whoever hammers, from wherever: an address that the account was signed in to from gets in at once, again and
    again. It has its own failures to answer for, and does not end the strangers' delay.
    """
    assert sign_in(throttled, VICTIM, PASSWORD, address=home).status_code == 200
    address = strangers()
    attack = lambda: sign_in(throttled, VICTIM, address=next(address)).status_code  # noqa: E731
    assert [attack() for _ in range(8)] == [401] * 5 + [429] * 3
    for _ in range(3):
        assert sign_in(throttled, VICTIM, PASSWORD, address=home).status_code == 200
        assert attack() == 429
    neighbour = home if home == HOME else "2001:db8:0:7:ffff::9"
    assert statuses([sign_in(throttled, VICTIM, address=neighbour) for _ in range(6)]) == [401] * 5 + [429]
    assert sign_in(throttled, "admin@acme.test", PASSWORD, address=home).status_code == 200


def test_the_victim_is_let_in_from_elsewhere_too(throttled: Call) -> None:
    """At the latest when they are told to come again: one attacker at one address is slowed down by their own limit."""
    attack = lambda: sign_in(throttled, VICTIM, address="203.0.113.9").status_code  # noqa: E731
    assert [attack() for _ in range(30)].count(401) == 5
    answer = sign_in(throttled, VICTIM, PASSWORD, address="192.0.2.99")
    assert answer.status_code == 429
    time.sleep(int(answer.headers["Retry-After"]))
    assert sign_in(throttled, VICTIM, PASSWORD, address="192.0.2.99").status_code == 200


def test_nothing_tells_whether_there_is_such_an_account(throttled: Call) -> None:
    """Known, unknown and closed: the same answers, headers and number of queries, failure by failure."""
    closed = accounts.create_user(email="closed@people.test", password=PASSWORD)
    User.objects.filter(pk=closed.pk).update(is_active=False)
    sign_in(throttled, "somebody@people.test")  # the host is known from now on
    seen = []
    for email, address in zip([VICTIM, "nobody@people.test", "closed@people.test"], strangers(), strict=False):
        rows = []
        for _ in range(8):
            with CaptureQueriesContext(connection) as queries:
                answer = sign_in(throttled, email, address=address)
            headers = {name: value for name, value in answer.headers.items() if name.startswith(("R", "W"))}
            rows.append((answer.status_code, answer.json()["code"], headers, len(queries)))
        seen.append(rows)
    assert [row[0] for row in seen[0]] == [401] * 5 + [429] * 3
    assert seen[0] == seen[1] == seen[2]


def test_many_guesses_at_once_are_not_more_guesses(unwrapped: None, rates: dict[str, str]) -> None:
    """Twenty at the same moment, from twenty addresses: five are looked at."""
    body = {"email": "nobody@people.test", "password": WRONG}
    address = strangers()

    def guess() -> Any:
        return APIClient().post(LOGIN, body, HTTP_HOST=ACME, REMOTE_ADDR=next(address))

    jobs: list[Callable[[], Any]] = [guess] * 20
    assert sorted(statuses(at_once(jobs))) == [401] * 5 + [429] * 15


@pytest.mark.parametrize(("path", "field"), [(STEP_UP, "password"), (CHANGE, "current_password")])
def test_a_stolen_token_does_not_guess_the_password(throttled: Call, path: str, field: str) -> None:
    """Nor do its failures keep the person from signing in."""
    body = {field: WRONG} | ({"new_password": "another-long-enough-secret"} if path == CHANGE else {})
    address = strangers()
    guess = lambda: throttled("acme_member", "POST", path, body, REMOTE_ADDR=next(address))  # noqa: E731
    assert statuses([guess() for _ in range(6)]) == [400] * 5 + [429]
    assert sign_in(throttled, VICTIM, PASSWORD).status_code == 200
    time.sleep(1)
    assert throttled("acme_member", "POST", STEP_UP, {"password": PASSWORD}).status_code == 200


def test_a_new_password_that_is_too_weak_is_no_failure(throttled: Call) -> None:
    body = {"current_password": PASSWORD, "new_password": "short"}
    assert statuses([throttled("acme_member", "POST", CHANGE, body) for _ in range(8)]) == [400] * 8


@pytest.mark.parametrize(
    "email",
    ["", " ", "\0", "x" * 254, "x" * 255, "a" * 100_000, "\ud800", "e\u0301@people.test", "İ@people.test", "%s:*\r\n"],
)
def test_odd_addresses_are_counted_like_any(throttled: Call, email: str) -> None:
    address = strangers()
    found = statuses([sign_in(throttled, email, address=next(address)) for _ in range(6)])
    assert found in ([400] * 6, [401] * 5 + [429])


# --- OAuth ------------------------------------------------------------------------------------------------------------


def grant(call: Call, client_id: str, secret: str, address: str) -> Any:
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}".encode()
    kind = "application/x-www-form-urlencoded"
    return call("nobody", "POST", "/oauth/token", form, content_type=kind, host=API_HOST, REMOTE_ADDR=address)


def test_clients_that_fail(throttled: Call, rates: dict[str, str], machine: tuple[str, str]) -> None:
    """They are refused by address, in an error that OAuth clients can read; a success does not count."""
    rates["client_failures"] = "3/min"
    good, bad = machine, (machine[0], "no-such-secret")
    used = [good, bad, good, bad, good, bad, good]
    answers = [grant(throttled, *credentials, "203.0.113.1") for credentials in used]
    assert statuses(answers) == [200, 401, 200, 401, 200, 401, 429]
    refusal = answers[-1]
    assert refusal.json()["error"] == "temporarily_unavailable"
    assert refusal.json()["code"] == "throttled"
    assert refusal.headers["Content-Type"] == "application/json"
    assert refusal.headers["Cache-Control"] == "no-store"
    assert 50 < int(refusal.headers["Retry-After"]) <= 60
    assert grant(throttled, *good, "203.0.113.2").status_code == 200


# --- Start-up ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"throttles": {"POST": "sing_in"}}, "permissions.E011"),
        ({"throttles": {"POST": ("sign_in", "sing_in")}}, "permissions.E011"),
        ({"throttles": {"POST": "account_failures"}}, "permissions.E011"),
        ({"throttles": {"PUT": "sign_in"}}, "permissions.E011"),
        ({"throttle_classes": []}, "permissions.E012"),
    ],
)
def test_a_view_that_names_no_limit_is_refused(attributes: dict[str, Any], error: str) -> None:
    assert ids(view(scopes=BOTH, **attributes).as_view()) == [error]
    assert ids(view(**attributes).as_view(), public=frozenset({"probe/0"})) == [error]


def test_a_view_may_name_limits() -> None:
    class Stricter(LimitThrottle):
        pass

    named = {"POST": ("sign_in", "mail"), "GET": "token"}
    assert ids(view(scopes=BOTH, throttles=named).as_view()) == []
    assert ids(view(scopes=BOTH, throttle_classes=[LimitThrottle, Stricter]).as_view()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"THROTTLE_RATES": {"sing_in": "30/min"}},
        {"THROTTLE_RATES": {"sign_in": "thirty"}},
        {"REDIS_URL": "postgresql://somebody:hush@127.0.0.1/x"},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: Any, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    errors = run_checks(tags=["scopes"])
    assert [error.id for error in errors] == ["permissions.E013"]
    assert "hush" not in str(errors)


def test_deployment_is_told_that_limits_are_not_shared(settings: Any) -> None:
    found = [message.id for message in run_checks(tags=["security"], include_deployment_checks=True)]
    assert "permissions.I001" in found
    settings.REDIS_URL = "redis://127.0.0.1/0"
    assert "permissions.I001" not in [m.id for m in run_checks(tags=["security"], include_deployment_checks=True)]


def test_production_cannot_be_without(tmp_path: Any) -> None:
    result = start(PRODUCTION | {"THROTTLES": "off"}, tmp_path)
    assert result.returncode != 0
    assert "THROTTLES=off" in result.stderr
