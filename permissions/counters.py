"""Counting what happened lately: in this process, or in Redis for all processes.

Both keep when each of the last things happened, so a limit holds in every window of its length, not only in those of
the clock. One step asks and counts, so no two callers take the same place.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PREFIX = "tenantry:"
_REDIS_SECONDS = 0.25  # to connect, and to answer
_AWAY_SECONDS = 5.0  # Redis is left alone after it has failed
_KEYS_AT_MOST = 200_000  # of a process: some 60 MB

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rate:
    """How often something may happen: `quota` times in any `seconds`.

    Attributes:
        delays: instead of waiting for the window, what comes after the quota waits this long after the last one: the
            first beyond it for the first of these, and so on; the last of them holds from then on.
    """

    quota: int
    seconds: int
    delays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was counted, or refused.

    Attributes:
        remaining: how often it may happen still.
        reset: seconds until there is room for one more than now; after a refusal, until there is room at all.
        entry: what ``take_back`` needs; None after a refusal.
    """

    remaining: int
    reset: float
    entry: float | None

    @property
    def is_refused(self) -> bool:
        return self.entry is None


class Counter(Protocol):
    """Where things are counted."""

    def hit(self, key: str, rate: Rate) -> Hit:
        """Count one thing that happens now, unless that is once too often."""

    def take_back(self, key: str, hit: Hit) -> None:
        """Let it not have happened."""

    def clear(self, key: str) -> None:
        """Let nothing have happened."""


@dataclass(slots=True)
class _Log:
    times: deque[float]
    seconds: int


class MemoryCounter:
    """Counts in this process alone.

    What is over is swept out when the number of keys has doubled, so keeping tidy costs a constant share of each hit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}
        self._sweep_at = 1024

    def hit(self, key: str, rate: Rate) -> Hit:
        now = self._clock()
        with self._lock:
            kept = self._logs.get(key)
            if kept is None:
                kept = self._new(key, rate, now)
            times = kept.times
            while times and times[0] <= now - rate.seconds:
                times.popleft()
            if len(times) >= rate.quota:
                wait = _ready(times, rate) - now
                if wait > 0:
                    return Hit(0, wait, None)
            times.append(now)
            return Hit(max(rate.quota - len(times), 0), times[0] + rate.seconds - now, now)

    def take_back(self, key: str, hit: Hit) -> None:
        with self._lock, suppress(KeyError, ValueError):  # it may be over, or Redis' own
            self._logs[key].times.remove(hit.entry)  # type: ignore[arg-type]  # None is in no log

    def clear(self, key: str) -> None:
        with self._lock:
            self._logs.pop(key, None)

    def __len__(self) -> int:
        return len(self._logs)

    def _new(self, key: str, rate: Rate, now: float) -> _Log:
        if len(self._logs) >= self._sweep_at:
            self._sweep(now)
        kept = self._logs[key] = _Log(deque(), rate.seconds)
        return kept

    def _sweep(self, now: float) -> None:
        live = [key for key, kept in self._logs.items() if kept.times and kept.times[-1] > now - kept.seconds]
        # Too many at once: the newest stay.
        self._logs = {key: self._logs[key] for key in live[-_KEYS_AT_MOST // 2 :]}
        self._sweep_at = max(1024, 2 * len(self._logs))


def _ready(times: deque[float], rate: Rate) -> float:
    """Return from when on there is room, where the quota is used up."""
    surplus = len(times) - rate.quota
    if rate.delays:
        return times[-1] + rate.delays[min(surplus, len(rate.delays) - 1)]
    return times[surplus] + rate.seconds


# The same, with Redis' clock, in microseconds. KEYS: the log; ARGV: quota, window, then the delays.
_HIT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local quota, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], 0)
while oldest and tonumber(oldest) <= now - window do
    redis.call('LPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], 0)
end
local count = redis.call('LLEN', KEYS[1])
if count >= quota then
    local ready
    if #ARGV > 2 then
        ready = redis.call('LINDEX', KEYS[1], -1) + ARGV[math.min(3 + count - quota, #ARGV)]
    else
        ready = redis.call('LINDEX', KEYS[1], count - quota) + window
    end
    if ready > now then
        return {0, ready - now, ''}
    end
end
local entry = string.format('%.0f', now)
redis.call('RPUSH', KEYS[1], entry)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {math.max(quota - count - 1, 0), (oldest or now) + window - now, entry}
"""


class RedisCounter:
    """Counts in Redis; while that is away, in this process: then a limit is one of each process, and never none."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError for what is no URL of Redis."""
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that died while it was idle is replaced at once
        )
        self._script: Callable[..., Any] = self._redis.register_script(_HIT)
        self._memory = MemoryCounter(clock)
        self._clock = clock
        self._away_until: float | None = None

    def hit(self, key: str, rate: Rate) -> Hit:
        micros = [rate.seconds * 1_000_000, *(delay * 1_000_000 for delay in rate.delays)]
        found = self._ask(lambda: self._script(keys=[_PREFIX + key], args=[rate.quota, *micros]))
        if found is None:
            return self._memory.hit(key, rate)
        remaining, reset, entry = found
        return Hit(remaining, reset / 1_000_000, float(entry) if entry else None)

    def take_back(self, key: str, hit: Hit) -> None:
        # The entry may be this process' own, from when Redis was away.
        self._memory.take_back(key, hit)
        self._ask(lambda: self._redis.lrem(_PREFIX + key, 1, f"{hit.entry:.0f}"))

    def clear(self, key: str) -> None:
        self._memory.clear(key)
        self._ask(lambda: self._redis.delete(_PREFIX + key))

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return Redis' answer; None while it is away."""
        if self._away_until is not None and self._clock() < self._away_until:
            return None
        try:
            answer = question()
        except redis.RedisError as error:
            if self._away_until is None:
                log.warning("Redis is away: each process counts by itself until it is back (%s)", type(error).__name__)
            self._away_until = self._clock() + _AWAY_SECONDS
            return None
        if self._away_until is not None:
            self._away_until = None
            log.warning("Redis is back: limits are shared again")
        return answer
