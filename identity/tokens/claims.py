"""The claims of an access token: RFC 9068, and ours.

To add a claim: add the field with its source, read it in ``from_payload``, give it a value in ``services``, and write
the test that a wrong one is refused. A claim that nothing checks is a lie waiting to be believed: leave it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, TypeVar
from uuid import UUID

from django.conf import settings

from permissions.principals import Kind

T = TypeVar("T")
_LARGEST_INTEGER = 2**53 - 1  # RFC 7493 section 2.2: what every JSON reader agrees on


class MalformedClaims(ValueError):
    """A claim is missing, or not of its type."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """The sign-in behind a person's token: claims that are there together or not at all."""

    sid: UUID  # OpenID Connect Front-Channel Logout 1.0 section 3: the session
    auth_time: int  # OpenID Connect Core section 2: when the person proved who they are
    amr: tuple[str, ...]  # RFC 8176: how

    def to_payload(self) -> dict[str, Any]:
        return {"sid": str(self.sid), "auth_time": self.auth_time, "amr": list(self.amr)}


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What an access token says. Times are seconds since the epoch."""

    iss: str  # RFC 9068 section 2.2: our issuer, compared exactly
    aud: str  # RFC 9068 section 2.2: one API, the tenants' or the operators'
    sub: UUID  # RFC 9068 section 2.2: the person, or the machine client itself
    client_id: str  # RFC 9068 section 2.2: the application that got the token
    iat: int  # RFC 7519 section 4.1.6
    exp: int  # RFC 7519 section 4.1.4
    jti: str  # RFC 7519 section 4.1.7: unique; never decided upon
    scope: frozenset[str]  # RFC 8693 section 4.2: space-separated on the wire
    ver: int  # ours: authorization version; another one in the database refuses the token
    sign_in: SignIn | None = None  # of a person; a machine client has none
    role: str | None = None  # ours: the role's name, for people and interfaces; scopes decide
    tenant: str | None = None  # ours: the tenant's slug, for people
    tenant_id: UUID | None = None  # ours: the tenant; this one is enforced
    act: UUID | None = None  # RFC 8693 section 4.1: the member of staff who is really acting, in support access

    @property
    def kind(self) -> Kind | None:
        """The kind of caller whose token for the tenant API has exactly these claims; None when no kind's has."""
        machine = self.sign_in is None and self.client_id == str(self.sub)
        in_tenant = self.tenant_id is not None and self.tenant is not None
        shapes = {
            Kind.CLIENT: machine and in_tenant and self.act is None and self.role is None,
            Kind.SUPPORT: bool(self.sign_in) and in_tenant and self.act == self.sub and self.role is None,
            Kind.MEMBER: bool(self.sign_in) and in_tenant and self.act is None and self.role is not None,
            Kind.PERSON: bool(self.sign_in)
            and (self.tenant_id, self.tenant, self.role, self.act, self.ver) == (None, None, None, None, 0),
        }
        return next((kind for kind, fits in shapes.items() if fits), None)

    @property
    def application_id(self) -> UUID | None:
        """The third-party application that acts for the person; None for ours, and for machine clients."""
        is_ours = self.sign_in is None or self.client_id == settings.FIRST_PARTY_CLIENT_ID
        return None if is_ours else UUID(self.client_id)

    def to_payload(self) -> dict[str, Any]:
        """Return the JWT payload; absent claims are left out."""
        payload = {
            **vars(self),
            "sub": str(self.sub),
            "scope": " ".join(sorted(self.scope)),
            "tenant_id": str(self.tenant_id) if self.tenant_id else None,
            "act": {"sub": str(self.act)} if self.act else None,
            "sign_in": None,
            **(self.sign_in.to_payload() if self.sign_in else {}),
        }
        return {name: value for name, value in payload.items() if value is not None}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Read a verified payload.

        Raises:
            MalformedClaims: a claim is missing, or not of its type.
        """
        read = _Reader(payload)
        has_sign_in = any(name in payload for name in ("sid", "auth_time", "amr"))
        if has_sign_in and read.text("client_id") != settings.FIRST_PARTY_CLIENT_ID:
            read.uuid("client_id")
        return cls(
            iss=read.text("iss"),
            aud=read.text("aud"),
            sub=read.uuid("sub"),
            client_id=read.text("client_id"),
            iat=read.integer("iat"),
            exp=read.integer("exp"),
            jti=read.text("jti"),
            scope=_scopes(read.text("scope")),
            ver=read.integer("ver"),
            sign_in=read.sign_in() if has_sign_in else None,
            role=read.text("role") if "role" in payload else None,
            tenant=read.text("tenant") if "tenant" in payload else None,
            tenant_id=read.uuid("tenant_id") if "tenant_id" in payload else None,
            act=read.actor() if "act" in payload else None,
        )


@lru_cache(maxsize=1024)  # tokens that are remembered share them
def _scopes(text: str) -> frozenset[str]:
    return frozenset(text.split())


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

    def sign_in(self) -> SignIn:
        return SignIn(sid=self.uuid("sid"), auth_time=self.integer("auth_time"), amr=tuple(self.texts("amr")))

    def actor(self) -> UUID:
        return _Reader(self._typed("act", dict)).uuid("sub")

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
