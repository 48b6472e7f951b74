"""OpenID Connect's part: scopes that say what an application learns of a person, and ID tokens that tell it.

These scopes are no rights at our API, so no access token carries them: they are the session's, and ``/oauth/userinfo``
asks the session.
"""

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jwt
from django.conf import settings

from identity.accounts.models import User
from identity.keys import selectors as keys
from identity.sessions.models import Session
from identity.sessions.proof import MULTI_FACTOR

OPENID, PROFILE, EMAIL, OFFLINE_ACCESS = "openid", "profile", "email", "offline_access"

# OpenID Connect Core sections 3.1.2.1, 5.4 and 11, each with a sentence for whoever is asked to agree.
SCOPES: Mapping[str, str] = {
    OPENID: "Know who you are.",
    PROFILE: "See your name.",
    EMAIL: "See your e-mail address.",
    OFFLINE_ACCESS: "Do all this when you are not there, until you take it back.",
}
CLAIMS = (
    "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash",
    "name", "email", "email_verified",
)  # fmt: skip
_TYPE = "JWT"  # never that of an access token, which is what makes this none


def among(scope: Iterable[str]) -> list[str]:
    """Return the scopes of OpenID Connect that are in `scope`, in their order."""
    asked = frozenset(scope)
    return [name for name in SCOPES if name in asked]


def claims_of(user: User, scope: Iterable[str]) -> dict[str, Any]:
    """Return what an application with `scope` learns of a person (OpenID Connect Core section 5.1)."""
    asked = frozenset(scope)
    claims: dict[str, Any] = {"sub": str(user.pk)}
    if PROFILE in asked and user.name:
        claims["name"] = user.name
    if EMAIL in asked:
        claims |= {"email": user.email, "email_verified": user.email_verified_at is not None}
    return claims


def id_token(session: Session, user: User, *, access_token: str, nonce: str) -> str:
    """Return what tells an application who has signed in, how and when (OpenID Connect Core sections 2 and 3.1.3.6).

    Args:
        nonce: as it came with the authorization request; empty when none did.
    """
    now = int(time.time())
    payload = {
        **claims_of(user, session.scope.split()),
        "iss": settings.ISSUER,
        "aud": str(session.application_id),
        "iat": now,
        "exp": now + int(settings.ACCESS_LIFETIME.total_seconds()),
        "auth_time": int(session.authenticated_at.timestamp()),
        "amr": session.methods,
        "at_hash": _half_hash(access_token),
    }
    if MULTI_FACTOR in session.methods:
        payload["acr"] = MULTI_FACTOR
    if nonce:
        payload["nonce"] = nonce
    key = keys.key_ring().active
    return jwt.encode(payload, key.private, algorithm=key.algorithm, headers={"typ": _TYPE, "kid": key.kid})


def _half_hash(access_token: str) -> str:
    """Return ``at_hash``; both of our algorithms hash by SHA-256."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
