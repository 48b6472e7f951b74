"""The secrets by which we prove to tenants' providers who we are: encrypted at rest, and shown to nobody."""

from identity.keys import encryption

_PURPOSE = b"tenantry client secrets of single sign-on"


def sealed(secret: str) -> bytes:
    """Return a secret as it is kept."""
    return encryption.encrypt(secret.encode(), purpose=_PURPOSE)


def opened(kept: bytes | memoryview) -> str:
    """Return a secret that was kept; empty where there is none, as after a restore, or where it was encrypted under a
    SECRET_KEY that is no longer known: the provider refuses us then, until somebody gives it again.
    """
    try:
        return encryption.decrypt(kept, purpose=_PURPOSE).decode() if kept else ""
    except encryption.Undecryptable:
        return ""
