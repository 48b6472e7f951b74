"""How often: every limit by its name, and counting against one.

Limits are exact in any window of their length. They are kept in the process, or in Redis where ``settings.REDIS_URL``
is set; ``settings.THROTTLE_RATES`` changes single ones, and ``settings.THROTTLES`` switches all of them off.

Nothing here says what a request is: ``permissions.throttles`` counts requests, and what is tried with a secret counts
itself by ``password_attempt`` or ``client_attempt``.
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled

from permissions.counters import Counter, Hit, MemoryCounter, Rate, RedisCounter

_RATE = re.compile(r"([1-9]\d{0,6})/([1-9]\d{0,3})?(s|min|hour|day)", re.ASCII)
_SECONDS = {"s": 1, "min": 60, "hour": 3600, "day": 86400}
_IPV6_CLIENT = 64  # bits: whoever has one address has all that begin so


class By(StrEnum):
    """Who or what has a limit of their own."""

    PRINCIPAL = "principal"
    TENANT = "tenant"  # the caller's; a caller in none is their own
    ADDRESS = "address"  # the client's; in IPv6 its network
    ACCOUNT = "account"  # what the code that counts says; kept as a keyed hash


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        rate: how often, unless the settings say otherwise: ``<number>/<seconds or unit>``, such as ``5/5min``.
        delays: as for ``Rate``.
        is_for_views: a view may name it in ``throttles``; others are counted by code.
    """

    rate: str
    by: By
    delays: tuple[int, ...] = ()
    is_for_views: bool = True


LIMITS: Mapping[str, Limit] = {
    # Every endpoint has one of these two. A view's own limit by address stands in place of `anonymous`.
    "principal": Limit("1200/min", By.PRINCIPAL),
    "anonymous": Limit("300/min", By.ADDRESS),
    # Endpoints whose credential is a token or a client's secret: many people, or one server, behind one address.
    "token": Limit("1200/min", By.ADDRESS),
    "sign_in": Limit("30/min", By.ADDRESS),
    "registration": Limit("20/min", By.ADDRESS),
    "mail": Limit("20/min", By.ADDRESS),  # whatever sends mail when a stranger asks
    # A tenant's plan says how often, see `throttles`; all its callers count together.
    "tenant": Limit("1000000/min", By.TENANT, is_for_views=False),
    "invitations": Limit("100/min", By.TENANT),
    "domain_verification": Limit("10/min", By.TENANT),
    "connection_tests": Limit("10/min", By.TENANT),
    # What is counted by code.
    "mail_to": Limit("5/hour", By.ACCOUNT, is_for_views=False),
    "sign_in_failures": Limit("10/min", By.ADDRESS, is_for_views=False),
    "account_failures": Limit("5/5min", By.ACCOUNT, delays=(1, 3, 5, 10), is_for_views=False),
    "client_failures": Limit("120/min", By.ADDRESS, is_for_views=False),
}


class Count(NamedTuple):
    """What counting once has found."""

    name: str
    rate: Rate
    hit: Hit


class LimitReached(Throttled):
    """429: there were too many requests of this kind; the Retry-After header says when the next one is answered."""

    default_detail = "There were too many requests of this kind."
    extra_detail_singular = "Try again in {wait} second."
    extra_detail_plural = "Try again in {wait} seconds."

    def __init__(self, count: Count) -> None:
        self.count = count
        super().__init__(wait=count.hit.reset)


def require(name: str, who: str, *, allowed: Rate | None = None) -> Count | None:
    """Count one thing of `who` against a limit, and return what was found; None when limits are off.

    Args:
        allowed: how often, where that is not the same for everybody.

    Raises:
        LimitReached: it is once too often, and was not counted.
    """
    if not settings.THROTTLES:
        return None
    allowed = allowed or rate(name)
    count = Count(name, allowed, counter().hit(_key(name, who), allowed))
    if count.hit.is_refused:
        raise LimitReached(count)
    return count


def take_back(name: str, who: str, count: Count | None) -> None:
    """Let what ``require`` counted not have happened."""
    if count is not None:
        counter().take_back(_key(name, who), count.hit)


def clear(name: str, who: str) -> None:
    """Let nothing of this kind have happened."""
    if settings.THROTTLES:
        counter().clear(_key(name, who))


class Attempt:
    """One try of a secret. It was counted as a failure before the secret was looked at, so that many tries at once are
    not more tries; unless it fails, it is taken back.
    """

    def __init__(self) -> None:
        self._counted: list[tuple[str, str, Count | None]] = []
        self._has_failed = False

    def fail(self) -> None:
        """Say that the secret was wrong."""
        self._has_failed = True

    def count(self, name: str, who: str) -> None:
        """Count it, or take back what was counted and raise LimitReached."""
        try:
            self._counted.append((name, who, require(name, who)))
        except LimitReached:
            self.take_back()
            raise

    def end(self) -> None:
        """Keep it if it has failed; else it has succeeded, and the account's failures are over."""
        if not self._has_failed:
            for name, who, count in self._counted:
                if LIMITS[name].by is By.ACCOUNT:
                    clear(name, who)
                else:
                    take_back(name, who, count)

    def take_back(self) -> None:
        """Let it not have happened, unless it has failed."""
        if not self._has_failed:
            for name, who, count in self._counted:
                take_back(name, who, count)


@contextmanager
def password_attempt(*, address: str, account: str, is_known: Callable[[], bool] = lambda: False) -> Iterator[Attempt]:
    """Let a password be tried now, or refuse that before it is looked at::

        with limits.password_attempt(address=address, account=email) as attempt:
            if not is_right(password):
                attempt.fail()

    After five failures within five minutes, an account is tried again only after a delay, which grows to ten seconds.
    Who cannot know the password must not keep out who does: from an address that is known for the account, failures
    count by themselves. An account that there is not, and one that is closed, are treated as any other.

    Args:
        account: what the failures are counted for, such as the normalized e-mail address.
        is_known: whether the account was signed in to from this address before. It is asked only where a stranger would
            be refused.

    Raises:
        LimitReached: the address has failed too often, or the account is to be tried later.
    """
    attempt = Attempt()
    attempt.count("sign_in_failures", address)
    try:
        attempt.count("account_failures", account)
    except LimitReached:
        if not is_known():
            raise
        attempt = Attempt()
        attempt.count("sign_in_failures", address)
        attempt.count("account_failures", f"{account} from {network_of(address)}")
    with _ended(attempt):
        yield attempt


@contextmanager
def client_attempt(*, address: str) -> Iterator[Attempt]:
    """Let a client's secret be tried now, in the same way.

    Raises:
        LimitReached: clients at this address have failed too often.
    """
    attempt = Attempt()
    attempt.count("client_failures", address)
    with _ended(attempt):
        yield attempt


@contextmanager
def _ended(attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except BaseException:  # whatever else goes wrong says nothing of the secret
        attempt.take_back()
        raise
    attempt.end()


def rate(name: str) -> Rate:
    """Return how often, as the settings say now.

    Raises:
        ImproperlyConfigured: they say it in a way that means nothing.
    """
    limit = LIMITS[name]
    return _rate(name, settings.THROTTLE_RATES.get(name, limit.rate), limit.delays)


@functools.lru_cache(maxsize=256)
def _rate(name: str, text: str, delays: tuple[int, ...]) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ImproperlyConfigured(f"The limit {name!r} is {text!r}; write it like 30/min, 5/hour or 5/300s.")
    quota, number, unit = match.groups()
    return Rate(int(quota), int(number or 1) * _SECONDS[unit], delays)


def counter() -> Counter:
    """Return where limits are counted, as the settings say now.

    Raises:
        ImproperlyConfigured: REDIS_URL is no URL of Redis.
    """
    return _counter(settings.REDIS_URL)


@functools.lru_cache(maxsize=8)
def _counter(url: str) -> Counter:
    if not url:
        return MemoryCounter()
    try:
        return RedisCounter(url)
    except ValueError:  # its message may repeat a password
        raise ImproperlyConfigured("REDIS_URL is no URL of Redis, such as redis://host:6379/0.") from None


def forget() -> None:
    """Forget what this process has counted (for tests)."""
    _counter.cache_clear()


@functools.lru_cache(maxsize=10_000)
def network_of(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return what an address shares its limits with: in IPv4 nothing, in IPv6 the network of one client.

    None for what is no address, such as that of a local socket.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return ipaddress.IPv6Network((int(parsed), _IPV6_CLIENT), strict=False)
        parsed = parsed.ipv4_mapped
    return ipaddress.IPv4Network(parsed)


def _key(name: str, who: str) -> str:
    match LIMITS[name].by:
        case By.ADDRESS:
            return f"{name}:{_network_text(who)}"
        case By.ACCOUNT:
            return f"{name}:{_hashed(who)}"
    return f"{name}:{who}"


@functools.lru_cache(maxsize=10_000)
def _network_text(address: str) -> str:
    return str(network_of(address))


def _hashed(text: str) -> str:
    return salted_hmac("permissions.limits", text.encode("utf-8", "backslashreplace"), algorithm="sha256").hexdigest()
