"""Signing keys and the ring of them.

A key's ``kid`` is its RFC 7638 thumbprint, so it is the same wherever the key is loaded. P-256 keys sign with ES256,
RSA keys with RS256; no other algorithm exists here, and a token cannot choose one: the key decides.
"""

import base64
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_RSA_BITS = 2048  # RFC 7518 section 3.3: the least that RS256 may have
_RSA_EXPONENT = 65537
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}  # RFC 7638 section 3.2

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Algorithm(StrEnum):
    """How keys sign (RFC 7518 section 3.1)."""

    ES256 = "ES256"
    RS256 = "RS256"


@dataclass(frozen=True)
class SigningKey:
    """One key."""

    kid: str
    algorithm: Algorithm
    private: PrivateKey
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    public_jwk: Mapping[str, str]  # RFC 7517 section 4; public members only


class KeyState(StrEnum):
    """Where a key is in its life."""

    PENDING = "pending"  # published, does not sign yet
    ACTIVE = "active"  # signs
    RETIRING = "retiring"  # signs no more; tokens that it signed may still be good
    SPENT = "spent"  # its last token is dead; no longer published
    RETIRED = "retired"  # taken out of use by hand; its tokens are refused


@dataclass(frozen=True)
class RingEntry:
    """A key and its time, in seconds since the epoch: it signs from `activates_at` until it is `succeeded_at`, and is
    published until `expires_at`.
    """

    key: SigningKey
    activates_at: float
    succeeded_at: float = math.inf
    expires_at: float = math.inf


@dataclass(frozen=True)
class KeyRing:
    """Every key in use, in the order in which they sign."""

    entries: Sequence[RingEntry]

    @property
    def active(self) -> SigningKey:
        """The key that signs now.

        Raises:
            ImproperlyConfigured: none does.
        """
        return self.active_entry.key

    @property
    def active_entry(self) -> RingEntry:
        """The key that signs now, with its time.

        Raises:
            ImproperlyConfigured: none does.
        """
        now = time.time()
        for entry in self.entries:
            if entry.activates_at <= now < entry.succeeded_at:
                return entry
        raise ImproperlyConfigured("There is no signing key: run `manage.py signing_keys rotate --now`.")

    @cached_property
    def by_id(self) -> Mapping[str, SigningKey]:
        """Every key that may have signed a token, by its ``kid``."""
        return {entry.key.kid: entry.key for entry in self.entries}

    def published(self) -> list[SigningKey]:
        """Return the keys that whoever verifies our tokens has to know now: future, present and past signers."""
        now = time.time()
        return [entry.key for entry in self.entries if entry.expires_at > now]


def ring_of(pems: Sequence[str]) -> KeyRing:
    """Return a ring of private keys in PEM: the first one signs, all of them verify.

    Raises:
        ImproperlyConfigured: there is none, or one of them is no private key we can use.
    """
    if not pems:
        raise ImproperlyConfigured("There is no signing key in PEM format.")
    first, *others = (load_key(pem.encode()) for pem in pems)
    return KeyRing([RingEntry(first, 0), *(RingEntry(key, math.inf) for key in others)])


def load_key(pem: bytes | str) -> SigningKey:
    """Read a private key in PEM.

    Raises:
        ImproperlyConfigured: it is none, or not a P-256 or RSA key of at least 2048 bits. The message has no key in it.
    """
    try:
        private = serialization.load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, password=None)
    except (ValueError, TypeError):
        # The cause might quote the key: it goes no further.
        raise ImproperlyConfigured("A signing key is no unencrypted private key in PEM format.") from None
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return _signing_key(private, Algorithm.ES256, ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _RSA_BITS:
        return _signing_key(private, Algorithm.RS256, RSAAlgorithm.to_jwk(private.public_key(), as_dict=True))
    raise ImproperlyConfigured("A signing key is neither P-256 nor RSA of at least 2048 bits.")


def generate_key(algorithm: Algorithm = Algorithm.ES256) -> str:
    """Return a new private key in PEM."""
    private: PrivateKey
    if algorithm is Algorithm.RS256:
        private = rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _signing_key(private: PrivateKey, algorithm: Algorithm, members: Mapping[str, object]) -> SigningKey:
    public = {name: str(members[name]) for name in _THUMBPRINT_MEMBERS[str(members["kty"])]}
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
    kid = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")
    jwk = {"kid": kid, "use": "sig", "alg": algorithm.value, **public}
    return SigningKey(kid, algorithm, private, private.public_key(), jwk)
