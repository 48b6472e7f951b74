"""Believing what a provider has signed: ID tokens (OpenID Connect Core 1.0 section 3.1.3.7) and logout tokens
(Back-Channel Logout 1.0 section 2.6).
"""

import time
from typing import Any
from uuid import UUID

from authlib.oidc.core.util import create_half_hash
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import GuestProtocol
from joserfc.jws import JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from identity.oidc.discovery import Metadata, PublicKey, keys_of
from identity.oidc.errors import UntrustedIdentity
from identity.oidc.providers import TENANT, LogoutToken, Provider, text_of

# What signs with a public key. A key says by its kind which of them it can be for.
ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

_LEEWAY = 60  # seconds that clocks may differ
_OLDEST = 15 * 60  # seconds since an ID token was made: no attempt takes longer
_LOGOUT_SECONDS = 60 * 60  # that a logout token may be good: so long its name is kept
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_NEEDED = ClaimsOption(essential=True)
_NOT_SOUND = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm)


class _Registry(JWSRegistry):
    """Just the algorithms above. Members of a header that mean nothing to us are ignored (RFC 7515 section 4)."""

    max_header_length = 4096

    def __init__(self) -> None:
        super().__init__(algorithms=list(ALGORITHMS), strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_registry = _Registry()


def believe_id_token(
    provider: Provider, metadata: Metadata, text: str, *, nonce: str, access_token: str | None
) -> dict[str, Any]:
    """Return the claims of an ID token that belongs to the sign-in with this nonce.

    Raises:
        UntrustedIdentity: it cannot be believed.
        ProviderUnreachable: its keys cannot be had.
    """
    header, claims = _verified(provider, metadata, text)
    is_ours = claims.get("nonce") == nonce and claims["iat"] >= time.time() - _OLDEST
    fits = "at_hash" not in claims or _is_of(claims["at_hash"], access_token, header["alg"])
    if not is_ours or not fits or text_of(claims.get("sub")) is None:
        raise UntrustedIdentity
    return claims


def believe_logout_token(provider: Provider, metadata: Metadata, text: str) -> LogoutToken:
    """Return what a logout token says. Whether it was used before is for the caller to know.

    Raises:
        UntrustedIdentity: it cannot be believed.
        ProviderUnreachable: its keys cannot be had.
    """
    header, claims = _verified(provider, metadata, text)
    events = claims.get("events")
    subject, sid, jti = (text_of(claims.get(name)) for name in ("sub", "sid", "jti"))
    is_one = (
        str(header.get("typ", "logout+jwt")).lower() in {"logout+jwt", "jwt"}
        and isinstance(events, dict)
        and isinstance(events.get(_LOGOUT_EVENT), dict)
        and "nonce" not in claims
        and (subject or sid)
        and all(text_of(claims[name]) for name in ("sub", "sid") if name in claims)
        and claims["exp"] <= time.time() + _LOGOUT_SECONDS + _LEEWAY
    )
    if not is_one or jti is None:
        raise UntrustedIdentity
    return LogoutToken(subject, sid, jti, int(claims["exp"]))


def _verified(provider: Provider, metadata: Metadata, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of what one of the provider's keys has signed, for us, and lately."""
    used: list[PublicKey] = []

    def choose(token: GuestProtocol) -> PublicKey:
        used.append(_key_for(metadata, token.headers()))
        return used[0]

    rules = JWTClaimsRegistry(leeway=_LEEWAY, iss=_NEEDED, aud=_NEEDED, exp=_NEEDED, iat=_NEEDED)
    try:
        token = jwt.decode(text, choose, list(ALGORITHMS), _registry)
        rules.validate(token.claims)
        _refuse_foreign(provider, token.claims, used[0])
    except _NOT_SOUND:
        raise UntrustedIdentity from None
    return token.header, token.claims


def _key_for(metadata: Metadata, header: dict[str, Any]) -> PublicKey:
    kid, algorithm = header.get("kid"), header["alg"]
    if kid is not None and not isinstance(kid, str):
        raise InvalidKeyIdError
    fitting = [
        key
        for key in keys_of(metadata, with_kid=kid)
        if key.key_type == ALGORITHMS.get(algorithm) and key.get("alg", algorithm) == algorithm
    ]
    named = [key for key in fitting if key.kid == kid] if kid is not None else fitting
    if len(named) != 1:
        raise InvalidKeyIdError
    return named[0]


def _refuse_foreign(provider: Provider, claims: dict[str, Any], key: PublicKey) -> None:
    """Refuse what another issuer says, or says to somebody else."""
    issuer = provider.issuer
    if TENANT in issuer:
        issuer = _of_tenant(issuer, claims)
        if _of_tenant(str(key.get("issuer", issuer)), claims) != issuer:
            raise UntrustedIdentity  # Microsoft's keys say for which of its tenants they sign
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp", provider.client_id if len(audience) == 1 else None)
    if claims["iss"] != issuer or provider.client_id not in audience or party != provider.client_id:
        raise UntrustedIdentity


def _of_tenant(issuer: str, claims: dict[str, Any]) -> str:
    return issuer.replace(TENANT, str(UUID(str(claims["tid"]))))


def _is_of(at_hash: Any, access_token: str | None, algorithm: str) -> bool:
    if access_token is None or not isinstance(at_hash, str):
        return False
    expected = create_half_hash(access_token, algorithm)
    return expected is None or at_hash == expected.decode()
