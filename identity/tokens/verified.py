"""Access tokens that were verified before, by this process."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from rest_framework_simplejwt.exceptions import TokenError

from identity.keys import selectors as keys
from identity.tokens.claims import Claims
from identity.tokens.tokens import AccessToken
from permissions.principals import Kind

_REMEMBERED = 16_384  # tokens: about a kilobyte is kept of each


@dataclass(frozen=True)
class Verified:
    """What a token says that was found to be ours, and the key that signed it."""

    claims: Claims
    kid: str

    @cached_property
    def kind(self) -> Kind | None:
        """See ``Claims.kind``: worked out once for each token."""
        return self.claims.kind


class _Remembered:
    """Tokens whose signature and form have been checked: both are the same for the same text for ever, and checking
    them costs more than all else that Python does about a token. What changes is looked at each time: whether the token
    has expired, and whether its key is still there; and by the statement that enters the tenant, all that it stands on.

    It has digests in place of tokens, and only of tokens that were good: nobody fills it who cannot sign.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()

    def get(self, token_class: type[AccessToken], raw: str) -> Verified:
        digest = hashlib.sha256(f"{token_class.audience} {raw}".encode()).digest()
        with self._lock:
            found = self._verified.get(digest)
            if found is not None:
                self._verified.move_to_end(digest)
        if found is None:
            token = token_class(raw)  # type: ignore[arg-type]  # simplejwt takes the text, and says Token
            found = Verified(token.claims, token.kid)
            with self._lock:
                self._verified[digest] = found
                if len(self._verified) > _REMEMBERED:
                    self._verified.popitem(last=False)
        elif found.claims.exp <= time.time():
            raise TokenError("Token is expired")
        elif keys.find_key(found.kid) is None:
            raise TokenError("Token is invalid")
        return found


_remembered = _Remembered()


def verify(token_class: type[AccessToken], raw: str) -> Verified:
    """Return what a token says that is ours, whole, in time and of this class.

    Raises:
        TokenError: it is not.
    """
    return _remembered.get(token_class, raw)
