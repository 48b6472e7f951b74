"""The text of a refresh token: ``tr_`` and base64url of family (16 bytes), generation (4 bytes) and a tag (32 bytes).

The tag is HMAC-SHA256 over family and generation, keyed by the family's secret and the server's. Nothing about a
token has to be stored, the successor of a token can be computed again, and a token that was never issued is told from
an old one.
"""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.conf import settings

_PREFIX = "tr_"  # tells people, and secret scanners, what it is
_HEAD = struct.Struct(">16sI")
_TAG_BYTES = 32


class MalformedRefreshToken(ValueError):
    """The text is no refresh token of ours."""


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token, read but not yet believed."""

    family_id: UUID
    generation: int
    tag: bytes

    @classmethod
    def issue(cls, family_id: UUID, generation: int, secret: bytes | memoryview) -> Self:
        """Return the family's token of this generation."""
        return cls(family_id, generation, _tag(settings.SECRET_KEY, family_id, generation, secret))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token.

        Raises:
            MalformedRefreshToken: it cannot be one.
        """
        try:
            raw = base64.b64decode(text.removeprefix(_PREFIX) + "==", altchars=b"-_", validate=True)
            family, generation = _HEAD.unpack(raw[: _HEAD.size])
        except (binascii.Error, struct.error, ValueError) as error:
            raise MalformedRefreshToken from error
        token = cls(UUID(bytes=family), generation, raw[_HEAD.size :])
        if str(token) != text:  # one token has one spelling
            raise MalformedRefreshToken
        return token

    def is_genuine(self, secret: bytes | memoryview) -> bool:
        """Tell, in constant time, whether the family with this secret ever could have issued the token."""
        keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        tags = [_tag(key, self.family_id, self.generation, secret) for key in keys]
        return any([hmac.compare_digest(self.tag, tag) for tag in tags])  # noqa: C419 -- a list: no key ends it early

    def __str__(self) -> str:
        raw = _HEAD.pack(self.family_id.bytes, self.generation) + self.tag
        return _PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _tag(server_key: str, family_id: UUID, generation: int, secret: bytes | memoryview) -> bytes:
    key = hmac.digest(b"tenantry refresh token\0" + server_key.encode(), bytes(secret), "sha256")
    return hmac.digest(key, _HEAD.pack(family_id.bytes, generation), "sha256")
