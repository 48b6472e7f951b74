"""Applications on several servers at once: what is taken back is refused everywhere, and a code is good once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.sessions.models import Session as Stored

from identity.accounts.models import User
from identity.applications import consents
from identity.applications import services as applications
from identity.applications.models import Application
from identity.sessions.models import Session
from permissions import policy
from tests.applications import FORM, VERIFIER, App, Browser, register
from tests.conftest import ACME
from tests.serving import Answer, Traffic, ask_once, serving

MEMBER = "member@acme.test"
ROUNDS = 5


@pytest.fixture(scope="module")
def ports(django_db_setup: None) -> Iterator[list[int]]:
    with serving(2) as ports:
        yield ports


@pytest.fixture
def app(unwrapped: None) -> Iterator[App]:
    before = list(Session.objects.values_list("pk", flat=True))
    app = App(*register())
    yield app
    Session.objects.exclude(pk__in=before).delete()
    Stored.objects.all().delete()
    Application.objects.filter(pk=app.application.pk).delete()


@pytest.fixture
def browser(app: App) -> Browser:
    browser = Browser()
    browser.sign_in(MEMBER)
    return browser


def is_good(answer: Answer) -> bool:
    return answer.status == 200


def is_refused(answer: Answer) -> bool:
    return answer.outcome == (401, "invalid_token")


def is_refused_since(ended: float, answer: Answer) -> bool:
    return answer.began > ended and is_refused(answer)


def redeem(port: int, app: App, code: str) -> Answer:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": VERIFIER,
        "client_id": app.client_id,
        "client_secret": app.secret or "",
    }
    body = urlencode(form).encode()
    return ask_once(port, "POST", "/oauth/token", host=ACME, body=body, content_type=FORM)


def withdraw(app: App, user_id: Any) -> None:
    consents.withdraw(application_id=app.application.pk, user_id=user_id)


def switch_off_and_on(app: App, user_id: Any) -> None:
    tenant_id = app.application.tenant_id
    for is_active in (False, True):
        applications.change_application(
            tenant_id=tenant_id,
            application_id=app.application.pk,
            held=policy.delegable(),
            changes={"is_active": is_active},
        )


@pytest.mark.parametrize("end", [withdraw, switch_off_and_on])
def test_what_is_taken_back_is_refused_by_every_server(
    ports: list[int], app: App, browser: Browser, end: Callable[[App, Any], None]
) -> None:
    """In every round the token worked on each server a moment before; nothing that begins afterwards does."""
    user_id = User.objects.values_list("pk", flat=True).get(email=MEMBER)
    with Traffic(ports, threads_per_port=2, host=ACME, path="/api/v1/projects") as traffic:
        for _ in range(ROUNDS):
            traffic.start(app.tokens(browser)["access_token"])
            traffic.wait(3, is_good)
            end(app, user_id)
            ended = time.monotonic()
            answers = traffic.stop(5, partial(is_refused_since, ended))
            late = [answer for answer in answers if answer.began > ended]
            assert late
            assert [answer for answer in late if not is_refused(answer)] == []
            assert [answer for answer in answers if not is_good(answer) and not is_refused(answer)] == []


def test_a_code_is_good_once_however_many_ask_at_once(ports: list[int], app: App, browser: Browser) -> None:
    """One of them gets tokens; and as the others make it used twice, those are over."""
    for _ in range(ROUNDS):
        code = app.code(browser)
        with ThreadPoolExecutor(8) as pool:
            answers = [each.result() for each in [pool.submit(redeem, port, app, code) for port in ports * 4]]
        good = [answer for answer in answers if is_good(answer)]
        assert len(good) == 1
        assert {answer.json.get("error") for answer in answers if not is_good(answer)} == {"invalid_grant"}
        assert app.use(good[0].json["access_token"]).status_code == 401


def test_no_session_begins_behind_a_withdrawal(ports: list[int], app: App, browser: Browser) -> None:
    """A code that is exchanged while its consent is withdrawn gives nothing that is left."""
    user_id = User.objects.values_list("pk", flat=True).get(email=MEMBER)
    for _ in range(ROUNDS):
        code = app.code(browser)
        with ThreadPoolExecutor(2) as pool:
            redeemed = pool.submit(redeem, ports[0], app, code)
            time.sleep(0.002)
            withdraw(app, user_id)
            answer = redeemed.result()
        assert is_good(answer) or answer.json.get("error") == "invalid_grant"
        if is_good(answer):
            assert app.use(answer.json["access_token"]).status_code == 401
