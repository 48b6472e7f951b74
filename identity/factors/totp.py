"""Codes of an authenticator app: TOTP (RFC 6238) as every app understands it: SHA-1, six digits, thirty seconds."""

import base64
import logging
import secrets
import time

from django.conf import settings
from pyotp import TOTP
from pyotp.exceptions import OTPVerificationError

from identity.keys import encryption
from identity.keys.encryption import Undecryptable

_PURPOSE = b"tenantry authenticator apps at rest"
_SECRET_BYTES = 20  # as many as the HMAC is long (RFC 4226 section 4, R6)
_DRIFT = 1  # steps that an app's clock may be wrong by

log = logging.getLogger(__name__)


def new_secret() -> bytes:
    """Return the secret of a new app."""
    return secrets.token_bytes(_SECRET_BYTES)


def seal(secret: bytes) -> bytes:
    """Return a secret as it is kept."""
    return encryption.encrypt(secret, purpose=_PURPOSE)


def unseal(sealed: bytes | memoryview) -> bytes:
    """Return a secret that was kept.

    Raises:
        Undecryptable: under a SECRET_KEY that is no longer known.
    """
    return encryption.decrypt(sealed, purpose=_PURPOSE)


def seal_again(sealed: bytes | memoryview) -> bytes:
    """Return the same secret, kept under the present SECRET_KEY; raises as ``unseal``."""
    return encryption.encrypt_again(sealed, purpose=_PURPOSE)


def text_of(secret: bytes) -> str:
    """Return a secret as people type it."""
    return base64.b32encode(secret).decode()


def uri_of(secret: bytes, email: str) -> str:
    """Return what an app reads from a QR code."""
    return TOTP(text_of(secret)).provisioning_uri(name=email, issuer_name=settings.PRODUCT_NAME)


def step_of(sealed: bytes | memoryview, code: str) -> int | None:
    """Return of which time step a code is, around now; None when it is of none."""
    try:
        secret = unseal(sealed)
    except Undecryptable:
        log.warning("The secret of an authenticator app cannot be decrypted: is a SECRET_KEY_FALLBACKS missing?")
        return None
    try:
        return TOTP(text_of(secret)).verify_and_get_timecode(code, for_time=time.time(), valid_window=_DRIFT)
    except OTPVerificationError:
        return None
