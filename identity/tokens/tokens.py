"""Access tokens on simplejwt's hooks: a key ring instead of one key, and RFC 9068's checks instead of RFC 7519's.

simplejwt is imported in this package only.
"""

import json
import re
from datetime import timedelta
from functools import cache
from typing import Any, NoReturn, Self

import jwt
from django.conf import settings
from jwt.utils import base64url_decode, base64url_encode
from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken, TokenError

from identity.keys import selectors as keys
from identity.tokens.claims import Claims, MalformedClaims

_TYPE = "at+jwt"
_TYPES = {_TYPE, f"application/{_TYPE}"}  # RFC 9068 section 4
_HEADER_MEMBERS = {"alg", "kid", "typ"}  # what we write; jku, x5u, jwk, x5c, crit and the like never had a meaning here
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_MAXIMUM_LENGTH = 8192
_REQUIRED = ["iss", "aud", "sub", "client_id", "iat", "exp", "jti"]  # RFC 9068 section 2.2


class RingTokenBackend(TokenBackend):
    """Sign with the active key, verify with the one that the token names, for one audience."""

    def __init__(self, audience: str) -> None:
        super().__init__(algorithm="ES256", audience=audience, issuer=settings.ISSUER)

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token for `payload`."""
        key = keys.key_ring().active
        return jwt.encode(payload, key.private, algorithm=key.algorithm, headers={"typ": _TYPE, "kid": key.kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 -- simplejwt's
        """Return the payload of a token that is ours, whole, in time and for this audience.

        Raises:
            TokenBackendExpiredToken: it was all that, once.
            TokenBackendError: it is not.
        """
        text = token.decode("ascii", "replace") if isinstance(token, bytes) else str(token)
        try:
            key = keys.find_key(_read_header(text)["kid"])
            if key is None:
                raise TokenBackendError("Token is invalid")
            payload: dict[str, Any] = jwt.decode(
                text,
                key.public,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": _REQUIRED, "strict_aud": True, "verify_signature": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenBackendExpiredToken("Token is expired") from error
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TokenBackendError("Token is invalid") from error
        return payload


def _read_header(text: str) -> dict[str, str]:
    """Return the header of a token that is spelled the one right way.

    Raises:
        ValueError: it is not: too long, padded or non-canonical base64, a member twice, another type, members that we
            never write.
    """
    match = _COMPACT.fullmatch(text) if len(text) <= _MAXIMUM_LENGTH else None
    if match is None or base64url_encode(base64url_decode(match[3])).decode() != match[3]:
        raise ValueError
    header: dict[str, Any] = _read_object(match[1])
    _read_object(match[2])
    if header.keys() != _HEADER_MEMBERS or not all(isinstance(value, str) for value in header.values()):
        raise ValueError
    if header["typ"].lower() not in _TYPES:
        raise ValueError
    return header


def _read_object(part: str) -> dict[str, Any]:
    value = json.loads(base64url_decode(part), object_pairs_hook=_unique_members)
    if not isinstance(value, dict):
        raise TypeError
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with a member twice: two readers could see two tokens in it (RFC 7519 section 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


class AccessToken(simplejwt.AccessToken):
    """An access token whose payload is always a whole set of Claims."""

    lifetime: timedelta = settings.ACCESS_LIFETIME
    audience: str
    claims: Claims

    @classmethod
    def for_claims(cls, claims: Claims) -> Self:
        """Return the token that says exactly `claims`; ``str()`` signs it."""
        token = cls()
        token.claims = claims
        token.payload = claims.to_payload()
        return token

    @property
    def kid(self) -> str:
        """The key that signed the token (of one that was read)."""
        return str(jwt.get_unverified_header(str(self.token))["kid"])

    @classmethod
    def for_user(cls, user: Any) -> NoReturn:  # noqa: ARG003 -- simplejwt's
        """Refuse simplejwt's short cut: a user alone has no tenant, no role and no session."""
        raise TypeError("A token is made from Claims: use for_claims().")

    def get_token_backend(self) -> TokenBackend:
        return _backend(self.audience)

    def verify(self) -> None:
        """Read the claims of a payload that the backend has verified.

        Raises:
            TokenError: they are not whole.
        """
        try:
            self.claims = Claims.from_payload(self.payload)
        except MalformedClaims as error:
            raise TokenError("Token has malformed claims") from error


class TenantAccessToken(AccessToken):
    """A token for the tenant API."""

    audience = settings.TENANT_AUDIENCE


class OperatorAccessToken(AccessToken):
    """A token for the operator API."""

    audience = settings.OPERATOR_AUDIENCE


@cache  # one per audience
def _backend(audience: str) -> RingTokenBackend:
    return RingTokenBackend(audience)
