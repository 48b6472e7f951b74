"""Counting is exact, atomic and bounded, in the process and in Redis alike; without Redis it goes on."""

import logging
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from permissions import limits
from permissions.counters import Counter, MemoryCounter, Rate, RedisCounter
from permissions.limits import LimitReached
from tests.redis_server import needs_redis, running
from tests.running_demo import free_port
from tests.test_races import at_once

SHORT = Rate(3, 1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with running() as server:
        yield server.url


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
def counter(request: pytest.FixtureRequest) -> Counter:
    if request.param == "memory":
        return MemoryCounter()
    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return RedisCounter(url)


def test_the_quota_is_exact_and_a_refusal_does_not_count(counter: Counter) -> None:
    hits = [counter.hit("a", SHORT) for _ in range(3)]
    assert [hit.remaining for hit in hits] == [2, 1, 0]
    assert not any(hit.is_refused for hit in hits)
    refused = [counter.hit("a", SHORT) for _ in range(20)]
    assert all(hit.is_refused and hit.remaining == 0 and 0 < hit.reset <= 1 for hit in refused)
    assert not counter.hit("b", SHORT).is_refused  # another key is another matter
    time.sleep(refused[-1].reset + 0.005)
    assert not counter.hit("a", SHORT).is_refused


def test_no_window_of_its_length_holds_more(counter: Counter) -> None:
    """Not even one that lies across the clock's: hits that were let through are never closer than the rate says."""
    rate, ends = Rate(5, 1), time.monotonic() + 2.6
    passed = []
    while time.monotonic() < ends:
        began = time.monotonic()
        if not counter.hit("a", rate).is_refused:
            passed.append((began, time.monotonic()))
        time.sleep(0.004)
    assert len(passed) >= 10
    assert all(later[1] - earlier[0] >= 1 for earlier, later in zip(passed, passed[5:], strict=False))


def test_a_delay_instead_of_the_window(counter: Counter) -> None:
    rate = Rate(2, 300, delays=(1, 3))
    assert [counter.hit("a", rate).is_refused for _ in range(3)] == [False, False, True]
    assert 0.5 < counter.hit("a", rate).reset <= 1
    time.sleep(1.01)
    assert not counter.hit("a", rate).is_refused
    assert 2.5 < counter.hit("a", rate).reset <= 3
    counter.clear("a")
    assert counter.hit("a", rate).remaining == 1


def test_taking_back(counter: Counter) -> None:
    hits = [counter.hit("a", SHORT) for _ in range(3)]
    counter.take_back("a", hits[1])
    counter.take_back("a", hits[1])  # twice is once
    assert [counter.hit("a", SHORT).is_refused for _ in range(2)] == [False, True]
    counter.clear("a")
    counter.take_back("a", hits[0])  # what is gone already is no error
    assert counter.hit("a", SHORT).remaining == 2


def test_nobody_takes_the_same_place(counter: Counter) -> None:
    """Of 32 at once, as many get through as the quota says."""
    for key in map(str, range(10)):
        hits = at_once([lambda key=key: counter.hit(key, Rate(7, 60))] * 32)
        assert sorted(hit.is_refused for hit in hits) == [False] * 7 + [True] * 25
        assert sorted(hit.remaining for hit in hits if not hit.is_refused) == list(range(7))


def test_delays_grow_and_stay() -> None:
    """1, 3, 5, 10, 10 ... seconds after the last failure, as long as there were enough within five minutes."""
    clock = Clock()
    counter, rate = MemoryCounter(clock), limits.rate("account_failures")
    for _ in range(5):
        assert not counter.hit("a", rate).is_refused
    waits = []
    for _ in range(40):
        waits.append(counter.hit("a", rate).reset)
        clock.now += waits[-1] - 0.001
        assert counter.hit("a", rate).is_refused
        clock.now += 0.001
        assert not counter.hit("a", rate).is_refused
    assert waits == pytest.approx([1, 3, 5, *[10] * 37])
    clock.now += 299.9
    assert not counter.hit("a", rate).is_refused
    assert [counter.hit("a", rate).is_refused for _ in range(5)] == [False] * 3 + [True] * 2
    clock.now += 301
    assert [counter.hit("a", rate).is_refused for _ in range(6)] == [False] * 5 + [True]


def test_memory_is_bounded() -> None:
    """What is over is swept out, and of too much at once the newest stays."""
    clock = Clock()
    counter = MemoryCounter(clock)
    for number in range(20_000):
        counter.hit(f"old {number}", Rate(5, 60))
        clock.now += 0.01
    assert len(counter) < 2 * 60 / 0.01 + 1024
    for number in range(450_000):
        counter.hit(f"flood {number}", Rate(5, 60))
    assert len(counter) <= 200_000
    assert counter.hit("flood 449999", Rate(5, 60)).remaining == 3


def test_a_full_window_costs_no_more() -> None:
    """The busiest caller's hit is as cheap as anybody's: far below what a request takes."""
    counter, rate = MemoryCounter(), Rate(1200, 60)
    for _ in range(2_400):
        counter.hit("a", rate)
    began = time.perf_counter()
    for _ in range(1_000):
        counter.hit("a", rate)
    assert (time.perf_counter() - began) / 1_000 < 0.0002


# --- Redis away -------------------------------------------------------------------------------------------------------


def test_without_redis_each_process_counts(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    counter = RedisCounter(f"redis://:hush-hush@127.0.0.1:{free_port()}/0", clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            hits = [counter.hit("a", SHORT) for _ in range(4)]
            assert [hit.is_refused for hit in hits] == [False] * 3 + [True]
            counter.take_back("a", hits[0])
            assert not counter.hit("a", SHORT).is_refused
            clock.now += 10  # asked again, in vain
    assert [record.getMessage() for record in caplog.records] == [
        "Redis is away: each process counts by itself until it is back (ConnectionError)"
    ]


def test_a_redis_that_hangs_is_left_alone() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        counter = RedisCounter(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        times = [time.monotonic()]
        for _ in range(20):
            counter.hit("a", SHORT)
            times.append(time.monotonic())
    durations = [later - earlier for earlier, later in pairwise(times)]
    assert durations[0] < 1
    assert max(durations[1:]) < 0.1


@needs_redis
def test_redis_comes_back(caplog: pytest.LogCaptureFixture, tmp_path: Any) -> None:
    clock = Clock()
    with running() as server, caplog.at_level(logging.WARNING):
        counter, other = RedisCounter(server.url, clock=clock), RedisCounter(server.url, clock=clock)
        assert [counter.hit("a", Rate(3, 60)).remaining, other.hit("a", Rate(3, 60)).remaining] == [2, 1]
        server.kill()
        hit = counter.hit("a", Rate(3, 60))
        assert (hit.remaining, other.hit("a", Rate(3, 60)).remaining) == (2, 2)
        server.start(str(tmp_path))
        clock.now += 10
        counter.take_back("a", hit)  # counted here, taken back there: no error, and gone here
        assert [counter.hit("a", Rate(3, 60)).remaining, other.hit("a", Rate(3, 60)).remaining] == [2, 1]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        *["Redis is away"] * 2,
        *["Redis is back"] * 2,
    ]


@needs_redis
def test_redis_keeps_nothing_for_longer_than_it_counts(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    counter = RedisCounter(redis_url)
    counter.hit("a", Rate(3, 60))
    counter.hit("b", Rate(5, 300, delays=(1, 3, 5, 10)))
    assert {key: round(client.ttl(key), -1) for key in client.scan_iter()} == {b"tenantry:a": 60, b"tenantry:b": 300}


# --- Limits by name ---------------------------------------------------------------------------------------------------


@pytest.fixture
def switched_on(settings: Any) -> Iterator[Any]:
    limits.forget()
    settings.THROTTLES = True
    yield settings
    limits.forget()


def test_the_limits_are_as_reviewed() -> None:
    assert {name: (limit.rate, limit.by) for name, limit in limits.LIMITS.items()} == {
        "principal": ("1200/min", "principal"),
        "anonymous": ("300/min", "address"),
        "token": ("1200/min", "address"),
        "sign_in": ("30/min", "address"),
        "registration": ("20/min", "address"),
        "mail": ("20/min", "address"),
        "tenant": ("1000000/min", "tenant"),
        "invitations": ("100/min", "tenant"),
        "domain_verification": ("10/min", "tenant"),
        "connection_tests": ("10/min", "tenant"),
        "mail_to": ("5/hour", "account"),
        "sign_in_failures": ("10/min", "address"),
        "account_failures": ("5/5min", "account"),
        "client_failures": ("120/min", "address"),
    }


def test_mail_to_one_address(switched_on: Any) -> None:
    for _ in range(5):
        assert limits.require("mail_to", "somebody@example.com") is not None
    with pytest.raises(LimitReached) as reached:
        limits.require("mail_to", "somebody@example.com")
    assert 3590 < (reached.value.wait or 0) <= 3600
    limits.require("mail_to", "somebody.else@example.com")
    switched_on.THROTTLES = False
    assert limits.require("mail_to", "somebody@example.com") is None


@needs_redis
def test_no_address_of_a_person_is_kept(switched_on: Any, redis_url: str) -> None:
    switched_on.REDIS_URL = redis_url
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    limits.require("mail_to", "Somebody@example.com")
    with limits.password_attempt(address="192.0.2.1", account="somebody@example.com") as attempt:
        attempt.fail()
    keys = b" ".join(client.keys())
    assert b"mail_to:" in keys
    assert b"account_failures:" in keys
    assert b"example" not in keys
    assert b"omebody" not in keys


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),  # IPv4 at a socket for both
        ("::1", "::/64"),
        ("", "None"),
        ("unix:", "None"),
    ],
)
def test_what_an_address_shares_its_limits_with(address: str, network: str) -> None:
    assert str(limits.network_of(address)) == network


@pytest.mark.parametrize(
    ("text", "rate"), [("7/s", (7, 1)), ("7/5min", (7, 300)), ("1/hour", (1, 3600)), ("7/300s", (7, 300))]
)
def test_a_rate(switched_on: Any, text: str, rate: tuple[int, int]) -> None:
    switched_on.THROTTLE_RATES = {"sign_in": text}
    assert (limits.rate("sign_in").quota, limits.rate("sign_in").seconds) == rate


@pytest.mark.parametrize("text", ["", "30", "0/min", "-1/min", "30/minute ", "30/0s", "1e3/min", "٣/min", "30/min/ip"])
def test_a_rate_that_means_nothing(switched_on: Any, text: str) -> None:
    switched_on.THROTTLE_RATES = {"sign_in": text}
    with pytest.raises(ImproperlyConfigured, match="sign_in"):
        limits.rate("sign_in")
