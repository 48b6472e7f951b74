"""What a tenant asks of its members' sign-ins. It is kept with the tenant, so that whatever makes a token for one of
them has read it already.
"""

import ipaddress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, Self
from uuid import UUID

from django.core.exceptions import ValidationError

MOST_HOURS = 24 * 366
MOST_RANGES = 100
MOST_BREAK_GLASS = 10
SSO = "sso"  # ``identity.sessions.proof.Way`` has the names of ways; of this one the tenant itself is in charge

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HasPolicy(Protocol):
    """A tenant, loaded whole or by ``tenants.context.statements.TENANT``."""

    sign_in_policy: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SignInPolicy:
    """What every token of a member, in this tenant, is held to. The default asks for nothing.

    Attributes:
        require_second_factor: the person has proved two things of different kinds.
        ways: by which of them they may have come in; none named: by any.
        max_session_hours: for how long a proof of who they are is good.
        address_ranges: in CIDR notation, where they may come from; none named: from anywhere.
        break_glass: accounts of owners who may come in by any way, should the others fail, with two factors always.
    """

    require_second_factor: bool = False
    ways: frozenset[str] = frozenset()
    max_session_hours: int | None = None
    address_ranges: tuple[str, ...] = ()
    break_glass: frozenset[UUID] = frozenset()

    @classmethod
    def of(cls, tenant: HasPolicy) -> Self:
        """Return a tenant's policy."""
        return cls.from_json(tenant.sign_in_policy)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """Return what ``to_json`` made."""
        if not kept:
            return cls()
        return cls(
            require_second_factor=kept.get("require_second_factor", False),
            ways=frozenset(kept.get("ways", ())),
            max_session_hours=kept.get("max_session_hours"),
            address_ranges=tuple(kept.get("address_ranges", ())),
            break_glass=frozenset(map(UUID, kept.get("break_glass", ()))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what is kept of it; nothing of what asks for nothing."""
        if self == SignInPolicy():
            return {}
        return {
            "require_second_factor": self.require_second_factor,
            "ways": sorted(self.ways),
            "max_session_hours": self.max_session_hours,
            "address_ranges": list(self.address_ranges),
            "break_glass": sorted(map(str, self.break_glass)),
        }

    @property
    def is_sso_only(self) -> bool:
        """Whether nobody comes in but by the tenant's own provider."""
        return self.ways == {SSO}

    def allows_way(self, way: str) -> bool:
        """Tell whether one may come in by a way."""
        return not self.ways or way in self.ways

    def allows_address(self, address: str) -> bool:
        """Tell whether one may come from an address. Where ranges are named, what is no address is in none of them."""
        if not self.address_ranges:
            return True
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        client = getattr(client, "ipv4_mapped", None) or client
        return any(client in network for network in _networks(self.address_ranges))

    def asks_more_than(self, other: "SignInPolicy") -> bool:
        """Tell whether a sign-in that `other` lets in could be one that this policy keeps out."""
        hours = self.max_session_hours
        return (
            (self.require_second_factor and not other.require_second_factor)
            or (bool(self.ways) and not (other.ways and other.ways <= self.ways))
            or (hours is not None and (other.max_session_hours is None or hours < other.max_session_hours))
            or (bool(self.address_ranges) and self.address_ranges != other.address_ranges)
            or (bool(self.ways) and not other.break_glass <= self.break_glass)
        )

    def elsewhere(self) -> Self:
        """Return what of it holds for a copy of the tenant: there, its accounts and its provider may be others, and
        nobody must be kept out who could change that.
        """
        return replace(self, break_glass=frozenset(), ways=frozenset() if self.is_sso_only else self.ways)

    def cleaned(self) -> Self:
        """Return the same policy in its one form.

        Raises:
            ValidationError: a value does not fit; the message is under its name.
        """
        hours = self.max_session_hours
        if hours is not None and not 1 <= hours <= MOST_HOURS:
            raise _refused("max_session_hours", f"Use 1 to {MOST_HOURS} hours, or null for no limit.", "invalid_hours")
        if len(self.address_ranges) > MOST_RANGES:
            raise _refused("address_ranges", f"Use at most {MOST_RANGES} ranges.", "too_many")
        if len(self.break_glass) > MOST_BREAK_GLASS:
            raise _refused("break_glass", f"Name at most {MOST_BREAK_GLASS} owners.", "too_many")
        return replace(self, address_ranges=tuple(dict.fromkeys(map(_cleaned_range, self.address_ranges))))


def _cleaned_range(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        message = f"{text[:60]!r} is no range of addresses in CIDR notation, such as 203.0.113.0/24 or 2001:db8::/32."
        raise _refused("address_ranges", message, "invalid_address_range") from error


def _refused(name: str, message: str, code: str) -> ValidationError:
    return ValidationError({name: ValidationError(message, code=code)})


@lru_cache(maxsize=256)
def _networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, ranges))
