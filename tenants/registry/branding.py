"""How a tenant looks to its members: a few values for the customer's own interface, none of which could run."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_TEXT_LENGTH = 200
_URL_LENGTH = 500
_IN_NO_URL = frozenset(' "<>\\^`{|}')  # of what can be printed; RFC 3986 section 2


def validate_branding(branding: Any) -> None:
    """Refuse what is not an object with any of ``logo_url`` and ``support_url`` (https), ``primary_color``
    (``#rrggbb``) and ``welcome`` (text).

    Raises:
        ValidationError: code ``invalid_branding``; the message names the member.
    """
    if not isinstance(branding, dict):
        raise ValidationError("Use an object.", code="invalid_branding")
    for name, value in branding.items():
        is_valid = _MEMBERS.get(name)
        if is_valid is None:
            raise ValidationError(f"Use one of: {', '.join(_MEMBERS)}.", code="invalid_branding")
        if not isinstance(value, str) or not is_valid(value):
            raise ValidationError(f"{name} is not as it should be: {_HINTS[name]}.", code="invalid_branding")


def _is_url(value: str) -> bool:
    if len(value) > _URL_LENGTH or not value.isascii() or not value.isprintable() or _IN_NO_URL & set(value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False


_MEMBERS: dict[str, Callable[[str], bool]] = {
    "logo_url": _is_url,
    "support_url": _is_url,
    "primary_color": lambda value: bool(_COLOR.fullmatch(value)),
    "welcome": lambda value: len(value) <= _TEXT_LENGTH and "\0" not in value,
}
_HINTS = {
    "logo_url": "an https URL",
    "support_url": "an https URL",
    "primary_color": "a color such as #1a73e8",
    "welcome": f"at most {_TEXT_LENGTH} characters",
}
