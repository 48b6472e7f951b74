"""Private keys, and other secrets that have to be read again, at rest: Fernet (AES-128-CBC and HMAC-SHA256, from
``cryptography``) under a key derived from ``SECRET_KEY`` for one purpose: what was encrypted for one is nothing for
another. ``SECRET_KEY_FALLBACKS`` still decrypt, so the secret can be changed.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"tenantry signing keys at rest"


class Undecryptable(ValueError):
    """Neither SECRET_KEY nor a fallback opens it."""


def encrypt(plain: bytes, *, purpose: bytes = _PURPOSE) -> bytes:
    """Return `plain`, encrypted under the present SECRET_KEY."""
    return _fernet(purpose).encrypt(plain)


def decrypt(encrypted: bytes | memoryview, *, purpose: bytes = _PURPOSE) -> bytes:
    """Return what was encrypted.

    Raises:
        Undecryptable: under a secret that is no longer known.
    """
    try:
        return _fernet(purpose).decrypt(bytes(encrypted))
    except InvalidToken:
        raise Undecryptable from None


def encrypt_again(encrypted: bytes | memoryview, *, purpose: bytes = _PURPOSE) -> bytes:
    """Return the same content under the present SECRET_KEY.

    Raises:
        Undecryptable: as ``decrypt``.
    """
    return encrypt(decrypt(encrypted, purpose=purpose), purpose=purpose)


def _fernet(purpose: bytes) -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derive(secret, purpose)) for secret in secrets])


def _derive(secret: str, purpose: bytes) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
