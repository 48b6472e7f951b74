"""Recovery codes as people write them down: five groups of five characters, 125 random bits."""

import hashlib
import secrets

COUNT = 10
LENGTH = 60  # as somebody may type one, with spaces
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_GROUPS, _GROUP_LENGTH = 5, 5


def new_codes() -> list[str]:
    """Return ten new codes."""
    return ["-".join(_group() for _ in range(_GROUPS)) for _ in range(COUNT)]


def digest_of(code: str) -> bytes:
    """Return the digest of a code, whatever its capitals and however it is grouped."""
    plain = "".join(code.lower().replace("-", " ").split())
    return hashlib.sha256(plain.encode("utf-8", "backslashreplace")).digest()


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH))
