"""The same second factor, many times at once: it proves something to one of them."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors.models import Challenge, Factor, RecoveryCode
from identity.sessions.models import Session
from tests.conftest import API_HOST
from tests.second_factors import Person

EMAIL = "racer@people.test"
AT_ONCE = 6


@pytest.fixture
def racer(unwrapped: None) -> Iterator[Person]:
    """Somebody with an app, whose changes are really committed."""
    accounts.create_user(email=EMAIL, password=PASSWORD)
    person = Person(_call, EMAIL).sign_in()
    person.add_app()
    person.refresh()
    yield person
    User.objects.filter(email=EMAIL).delete()


def _call(actor: str, method: str, path: str, data: Any = None, *, host: str, **headers: str) -> Any:
    return APIClient().generic(
        method, path, json.dumps(data or {}), content_type="application/json", HTTP_HOST=host, **headers
    )


def at_once(*asks: Callable[[], Any]) -> list[int]:
    """Ask all at the same moment, and return the statuses, in order."""
    barrier = Barrier(len(asks))

    def run(ask: Callable[[], Any]) -> int:
        try:
            barrier.wait(10)
            return int(ask().status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(asks)) as pool:
        return sorted(pool.map(run, asks))


def test_one_code_answers_one_of_many_challenges(racer: Person) -> None:
    challenges = [racer.waiting()["challenge"] for _ in range(AT_ONCE)]
    code = racer.code()
    before = Session.objects.filter(user__email=EMAIL).count()
    statuses = at_once(*(lambda each=each: racer.answer(each, code=code) for each in challenges))
    assert statuses == [200] + [401] * (AT_ONCE - 1)
    assert Session.objects.filter(user__email=EMAIL).count() == before + 1


def test_one_recovery_code_answers_one_of_many_challenges(racer: Person) -> None:
    challenges = [racer.waiting()["challenge"] for _ in range(AT_ONCE)]
    code = racer.codes[0]
    statuses = at_once(*(lambda each=each: racer.answer(each, recovery_code=code) for each in challenges))
    assert statuses == [200] + [401] * (AT_ONCE - 1)
    assert RecoveryCode.objects.filter(user__email=EMAIL).count() == 9


def test_one_challenge_is_answered_once_whatever_it_is_answered_with(racer: Person) -> None:
    challenge = racer.waiting()["challenge"]
    codes = racer.codes[: AT_ONCE - 2]
    statuses = at_once(*(lambda code=code: racer.answer(challenge, recovery_code=code) for code in codes))
    assert statuses == [200] + [401] * (len(codes) - 1)
    assert RecoveryCode.objects.filter(user__email=EMAIL).count() == 9, "the others are as good as they were"


def test_many_guesses_at_once_are_not_more_guesses(racer: Person) -> None:
    challenge = racer.waiting()["challenge"]
    at_once(*(lambda: racer.answer(challenge, code="000000") for _ in range(AT_ONCE * 2)))
    assert Challenge.objects.get(user__email=EMAIL).tries == 5
    assert Factor.objects.get(user__email=EMAIL).tries == 5


def test_one_app_is_set_up_once(racer: Person) -> None:
    begun = racer.ask("POST", "/api/v1/me/second-factors/totp").json()
    racer.secret = begun["secret"]
    body = {"challenge": begun["challenge"], "code": racer.code_shown()}
    statuses = at_once(
        *(lambda: racer.ask("POST", "/api/v1/me/second-factors/totp/confirm", body, host=API_HOST) for _ in range(4))
    )
    assert statuses == [201, 400, 400, 400]
    assert Factor.objects.filter(user__email=EMAIL).count() == 2
