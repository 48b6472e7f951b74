"""What a password must be like, as NIST SP 800-63B section 3.1.1.2 says: long, and not one that is guessed first. There
are no rules about kinds of characters, and a password is never changed for its age.

Passwords are compared in Unicode's form NFKC, as that section recommends ("NFKC or NFKD"): the same keys give one
character on one system and two on another. The hash is made of that form too (see ``hashers``), and length counts its
code points. Rules look at it without regard to capitals.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ImproperlyConfigured, ValidationError

LONGEST = 256  # bounds the work of hashing; NIST asks for at least 64

_EDGE = re.compile(r"\A[\W\d_]+|[\W\d_]+\Z")
_SHORTEST_WORD = 4
_RUN = 4
_LONGEST_UNIT = 14  # a longer one is a password by itself, and not weaker for being repeated
_KEYBOARDS = ("qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn")
_FORWARD = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", *_KEYBOARDS)
_SEQUENCES = (*_FORWARD, *(sequence[::-1] for sequence in _FORWARD))


def normalize_password(password: str) -> str:
    """Return a password in the form that is hashed."""
    return unicodedata.normalize("NFKC", password)


class LengthRule:
    """As many characters as make guessing hopeless, and not so many that hashing them is an attack."""

    def __init__(self, shortest: int = 15, longest: int = LONGEST) -> None:
        self.shortest, self.longest = shortest, longest

    def validate(self, password: str, user: Any = None) -> None:
        length = len(normalize_password(password))
        if length < self.shortest:
            message = f"This password is too short: use at least {self.shortest} characters, such as a few words."
            raise ValidationError(message, code="password_too_short")
        if length > self.longest:
            raise ValidationError(
                f"This password is too long: use at most {self.longest} characters.", code="password_too_long"
            )

    def get_help_text(self) -> str:
        return f"{self.shortest} to {self.longest} characters, of any kind."


class BlocklistRule:
    """Not one of those that are tried first: Django's list of common passwords, and a file of the platform's own.
    Digits and punctuation before or after make no other password of it.
    """

    def __init__(self, file: str = "") -> None:
        self.file = file

    def validate(self, password: str, user: Any = None) -> None:
        blocked = _common(), _listed(self.file)
        folded = _folded(password)
        if any(form in passwords for form in (folded, _core(folded)) for passwords in blocked):
            raise ValidationError("This password is on a list of common ones.", code="password_too_common")

    def get_help_text(self) -> str:
        return "Not a common password, even with digits or punctuation around it."


class RepetitionRule:
    """Not one short thing said several times."""

    def validate(self, password: str, user: Any = None) -> None:
        folded = _folded(password)
        core = _core(folded)
        if _is_repetition(folded) or (len(core) * 2 >= len(folded) and _is_repetition(core)):
            raise ValidationError("This password repeats itself.", code="password_repetitive")

    def get_help_text(self) -> str:
        return "Not one short thing repeated."


class PredictabilityRule:
    """Not for the most part what anybody would guess who knows whose it is and for what (names, addresses, the
    product), or who knows the alphabet and a keyboard.
    """

    def validate(self, password: str, user: Any = None) -> None:
        folded = _folded(password)
        known, runs = set(_places_of_words(folded, user)), set(_places_of_runs(folded))
        if len(known | runs) * 2 <= len(folded):
            return
        if len(known) > len(runs):
            message = "This password is made of your name, your address or ours."
            raise ValidationError(message, code="password_too_similar")
        raise ValidationError("This password is a run such as 12345 or qwerty.", code="password_sequence")

    def get_help_text(self) -> str:
        return "Not made of your name or address, and no runs of keys or letters."


def _folded(password: str) -> str:
    return normalize_password(password).casefold()


def _core(folded: str) -> str:
    return _EDGE.sub("", folded)


@cache
def _common() -> frozenset[str]:
    return frozenset(CommonPasswordValidator().passwords)


@cache
def _listed(file: str) -> frozenset[str]:
    if not file:
        return frozenset()
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"PASSWORD_BLOCKLIST_FILE cannot be read: {type(error).__name__}.") from error
    return frozenset(_folded(line) for line in lines if line)


def _is_repetition(text: str) -> bool:
    """Tell whether `text` is one short unit again and again, the last time perhaps in part."""
    return any(text[unit:] == text[:-unit] for unit in range(1, min(len(text) // 2, _LONGEST_UNIT) + 1))


def _places_of_words(folded: str, user: Any) -> Iterator[int]:
    for word in _words(user):
        for match in re.finditer(re.escape(word), folded):
            yield from range(*match.span())


def _places_of_runs(folded: str) -> Iterator[int]:
    for start in range(len(folded) - _RUN + 1):
        window = folded[start : start + _RUN]
        if len(set(window)) == 1 or any(window in sequence for sequence in _SEQUENCES):
            yield from range(start, start + _RUN)


def _words(user: Any) -> set[str]:
    """Return what is known of a person and of us, whole and in pieces."""
    local_part, _, domain = str(getattr(user, "email", "")).partition("@")
    host = urlsplit(settings.ISSUER).hostname or ""
    whole = (settings.PRODUCT_NAME, settings.BASE_DOMAIN, host, local_part, domain, str(getattr(user, "name", "")))
    words = {_folded(part) for text in whole for part in (text, *re.split(r"[\W_]+", text))}
    return {word for word in words if len(word) >= _SHORTEST_WORD}
