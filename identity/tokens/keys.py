"""The keys that sign access tokens.

``settings.SIGNING_KEYS`` holds private keys in PEM; the first one signs, all of them verify. A key's ``kid`` is its
RFC 7638 thumbprint, so it is the same wherever the key is loaded. P-256 keys sign with ES256, RSA keys with RS256; no
other algorithm exists here, and a token cannot choose one: the key decides.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_MINIMUM_RSA_BITS = 2048  # RFC 7518 section 3.3
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}  # RFC 7638 section 3.2


@dataclass(frozen=True)
class SigningKey:
    """One key of the ring."""

    kid: str
    algorithm: str
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class KeyRing:
    """Every key in use: `active` signs, `by_id` verifies."""

    active: SigningKey
    by_id: Mapping[str, SigningKey]


def key_ring() -> KeyRing:
    """Return the keys of the current settings.

    Raises:
        ImproperlyConfigured: there is none, or one of them is no private key we can use.
    """
    return _load(tuple(settings.SIGNING_KEYS))


@lru_cache(maxsize=2)
def _load(pems: tuple[str, ...]) -> KeyRing:
    if not pems:
        raise ImproperlyConfigured("There is no signing key: set TENANTRY_SIGNING_KEYS.")
    keys = [load_key(pem) for pem in pems]
    return KeyRing(keys[0], {key.kid: key for key in keys})


def load_key(pem: str) -> SigningKey:
    """Read a private key in PEM.

    Raises:
        ImproperlyConfigured: it is none, or not a P-256 or RSA key of at least 2048 bits. The message has no key in it.
    """
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        # The cause might quote the key: it goes no further.
        raise ImproperlyConfigured("A signing key is no unencrypted private key in PEM format.") from None
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        members = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        return SigningKey(_thumbprint(members), "ES256", private, private.public_key())
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _MINIMUM_RSA_BITS:
        members = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        return SigningKey(_thumbprint(members), "RS256", private, private.public_key())
    raise ImproperlyConfigured("A signing key is neither P-256 nor RSA of at least 2048 bits.")


def generate_key() -> str:
    """Return a new P-256 private key in PEM."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def _thumbprint(members: Mapping[str, object]) -> str:
    required = {name: members[name] for name in _THUMBPRINT_MEMBERS[str(members["kty"])]}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")
