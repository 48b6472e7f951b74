"""Two servers and one Redis: a limit is one for both, and a Redis that dies is nobody's outage."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.demo_data import PASSWORD
from tests.conftest import ACME
from tests.redis_server import RedisServer, needs_redis, running
from tests.serving import Answer, ask_once, serving

LOGIN = "/api/v1/auth/login"
AWAY_SECONDS = 5.5  # after these, Redis is asked again

pytestmark = needs_redis


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with running() as server:
        yield server


@pytest.fixture
def ports(unwrapped: None, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    monkeypatch.setenv("TENANTRY_TEST_THROTTLES", "on")
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("THROTTLE_SIGN_IN", "20/4s")
    monkeypatch.setenv("THROTTLE_SIGN_IN_FAILURES", "4/min")
    with serving(2) as ports:
        yield ports


def login(port: int, password: str = PASSWORD, email: str = "member@acme.test") -> Answer:
    return ask_once(port, "POST", LOGIN, host=ACME, body={"email": email, "password": password})


def test_limits_are_shared_and_outlive_redis(ports: list[int], redis_server: RedisServer, tmp_path: Path) -> None:
    here, there = ports
    # Shared: what one server has counted, the other knows.
    refused = [ask_once(port, "POST", LOGIN, host=ACME, body={}).status for port in [here, there] * 11]
    assert refused == [400] * 20 + [429] * 2
    time.sleep(4.1)
    wrong = [login(port, "not-the-password", f"{number}@people.test") for number, port in enumerate([here, there] * 3)]
    assert [answer.status for answer in wrong] == [401] * 4 + [429] * 2
    assert login(there).outcome == (429, "throttled")

    # Redis dies: both go on at once, each by itself, and guessing is limited still.
    redis_server.kill()
    for port in ports:
        began = time.monotonic()
        assert login(port).status == 200
        assert time.monotonic() - began < 2
        guesses = [login(port, "not-the-password", f"{number}@people.test").status for number in range(6)]
        assert guesses == [401] * 4 + [429] * 2

    # Redis is back: the limits are one again.
    redis_server.start(str(tmp_path))
    time.sleep(AWAY_SECONDS)
    wrong = [login(port, "not-the-password", f"{number}@people.test") for number, port in enumerate([here, there] * 3)]
    assert [answer.status for answer in wrong] == [401] * 4 + [429] * 2
