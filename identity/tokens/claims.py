"""The claims of an access token: RFC 9068, and ours.

To add a claim: add the field with its source, read it in ``from_payload``, give it a value in ``services``, and write
the test that a wrong one is refused. A claim that nothing checks is a lie waiting to be believed: leave it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from uuid import UUID

T = TypeVar("T")
_LARGEST_INTEGER = 2**53 - 1  # RFC 7493 section 2.2: what every JSON reader agrees on


class MalformedClaims(ValueError):
    """A claim is missing, or not of its type."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What an access token says. Times are seconds since the epoch."""

    iss: str  # RFC 9068 section 2.2: our issuer, compared exactly
    aud: str  # RFC 9068 section 2.2: one API, the tenants' or the operators'
    sub: UUID  # RFC 9068 section 2.2: the person
    client_id: str  # RFC 9068 section 2.2: the application that got the token
    iat: int  # RFC 7519 section 4.1.6
    exp: int  # RFC 7519 section 4.1.4
    jti: str  # RFC 7519 section 4.1.7: unique; never decided upon
    scope: frozenset[str]  # RFC 8693 section 4.2: space-separated on the wire
    sid: UUID  # OpenID Connect Front-Channel Logout 1.0 section 3: the session
    ver: int  # ours: authorization version; another one in the database refuses the token
    auth_time: int  # OpenID Connect Core section 2: when the person proved who they are
    amr: tuple[str, ...]  # RFC 8176: how
    role: str | None = None  # ours: the role's name, for people and interfaces; scopes decide
    tenant: str | None = None  # ours: the tenant's slug, for people
    tenant_id: UUID | None = None  # ours: the tenant; this one is enforced

    def to_payload(self) -> dict[str, Any]:
        """Return the JWT payload; absent claims are left out."""
        payload = {
            **vars(self),
            "sub": str(self.sub),
            "scope": " ".join(sorted(self.scope)),
            "sid": str(self.sid),
            "amr": list(self.amr),
            "tenant_id": str(self.tenant_id) if self.tenant_id else None,
        }
        return {name: value for name, value in payload.items() if value is not None}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Read a verified payload.

        Raises:
            MalformedClaims: a claim is missing, or not of its type.
        """
        read = _Reader(payload)
        tenant_id = payload.get("tenant_id")
        return cls(
            iss=read.text("iss"),
            aud=read.text("aud"),
            sub=read.uuid("sub"),
            client_id=read.text("client_id"),
            iat=read.integer("iat"),
            exp=read.integer("exp"),
            jti=read.text("jti"),
            scope=frozenset(read.text("scope").split()),
            sid=read.uuid("sid"),
            ver=read.integer("ver"),
            auth_time=read.integer("auth_time"),
            amr=tuple(read.texts("amr")),
            role=None if payload.get("role") is None else read.text("role"),
            tenant=None if payload.get("tenant") is None else read.text("tenant"),
            tenant_id=None if tenant_id is None else read.uuid("tenant_id"),
        )


@dataclass(frozen=True)
class _Reader:
    payload: Mapping[str, Any]

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def integer(self, name: str) -> int:
        value = self._typed(name, int)
        if isinstance(value, bool) or abs(value) > _LARGEST_INTEGER:
            raise MalformedClaims(name)
        return value

    def uuid(self, name: str) -> UUID:
        try:
            return UUID(self.text(name))
        except ValueError as error:
            raise MalformedClaims(name) from error

    def texts(self, name: str) -> list[str]:
        values = self._typed(name, list)
        if not all(isinstance(value, str) for value in values):
            raise MalformedClaims(name)
        return values

    def _typed(self, name: str, kind: type[T]) -> T:
        value = self.payload.get(name)
        if not isinstance(value, kind):
            raise MalformedClaims(name)
        return value
