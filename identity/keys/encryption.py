"""Private keys at rest: Fernet (AES-128-CBC and HMAC-SHA256, from ``cryptography``) under a key derived from
``SECRET_KEY``. ``SECRET_KEY_FALLBACKS`` still decrypt, so the secret can be changed.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"tenantry signing keys at rest"


class Undecryptable(ValueError):
    """Neither SECRET_KEY nor a fallback opens it."""


def encrypt(plain: bytes) -> bytes:
    """Return `plain`, encrypted under the present SECRET_KEY."""
    return _fernet().encrypt(plain)


def decrypt(encrypted: bytes | memoryview) -> bytes:
    """Return what was encrypted.

    Raises:
        Undecryptable: under a secret that is no longer known.
    """
    try:
        return _fernet().decrypt(bytes(encrypted))
    except InvalidToken:
        raise Undecryptable from None


def encrypt_again(encrypted: bytes | memoryview) -> bytes:
    """Return the same content under the present SECRET_KEY.

    Raises:
        Undecryptable: as ``decrypt``.
    """
    return encrypt(decrypt(encrypted))


def _fernet() -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derive(secret)) for secret in secrets])


def _derive(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
