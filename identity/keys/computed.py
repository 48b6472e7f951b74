"""Tokens that are computed, not stored: a prefix, and base64url of id (16 bytes), generation (4 bytes) and a tag (32
bytes).

The tag is HMAC-SHA256 over id and generation, keyed by the secret of the row with this id and by the server's key,
under a label of what the token is for. Neither a copy of the database nor the key alone is enough to make one; it can
be computed again; and a token that was never issued is told from an old one.
"""

import base64
import binascii
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings

_HEAD = struct.Struct(">16sI")


class MalformedToken(ValueError):
    """The text is no token of this kind."""


def generate_row_secret() -> bytes:
    """Return the random half of what a row's tokens are made from (256 bits)."""
    return secrets.token_bytes(32)


@dataclass(frozen=True)
class ComputedToken:
    """A token, read but not yet believed. Each kind is a subclass with a label and a prefix of its own::

        class RefreshToken(ComputedToken):
            label = "tenantry refresh token"
            prefix = "tr_"

    Attributes:
        label: what the token is for; it never changes, or all tokens of the kind are void.
        prefix: tells people, and secret scanners, what it is.
    """

    label: ClassVar[str]
    prefix: ClassVar[str]

    row_id: UUID
    generation: int
    tag: bytes

    @classmethod
    def issue(cls, row_id: UUID, generation: int, secret: bytes | memoryview) -> Self:
        """Return the row's token of this generation."""
        return cls(row_id, generation, cls._tag(settings.SECRET_KEY, row_id, generation, secret))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token.

        Raises:
            MalformedToken: it cannot be one.
        """
        try:
            raw = base64.b64decode(text.removeprefix(cls.prefix) + "==", altchars=b"-_", validate=True)
            row_id, generation = _HEAD.unpack(raw[: _HEAD.size])
        except (binascii.Error, struct.error, ValueError) as error:
            raise MalformedToken from error
        token = cls(UUID(bytes=row_id), generation, raw[_HEAD.size :])
        if str(token) != text:  # one token has one spelling
            raise MalformedToken
        return token

    def is_genuine(self, secret: bytes | memoryview) -> bool:
        """Tell, in constant time, whether the row with this secret ever could have issued the token."""
        keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        tags = [self._tag(key, self.row_id, self.generation, secret) for key in keys]
        return any([hmac.compare_digest(self.tag, tag) for tag in tags])  # noqa: C419 -- a list: no key ends it early

    def __str__(self) -> str:
        raw = _HEAD.pack(self.row_id.bytes, self.generation) + self.tag
        return self.prefix + base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def _tag(cls, server_key: str, row_id: UUID, generation: int, secret: bytes | memoryview) -> bytes:
        key = hmac.digest(f"{cls.label}\0{server_key}".encode(), bytes(secret), "sha256")
        return hmac.digest(key, _HEAD.pack(row_id.bytes, generation), "sha256")
