"""Languages and time zones, as people and tenants choose them."""

import re
from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

LOCALE_LENGTH = 35  # BCP 47 section 4.4.1
TIME_ZONE_LENGTH = 64
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", re.ASCII)


def validate_locale(locale: str) -> None:
    """Refuse what is no language tag, such as ``en`` or ``pt-BR`` (RFC 5646).

    Raises:
        ValidationError: code ``invalid_locale``.
    """
    if not _LOCALE.fullmatch(locale):
        raise ValidationError("Use a language tag such as en or pt-BR.", code="invalid_locale")


def validate_time_zone(name: str) -> None:
    """Refuse what is not in the IANA time zone database.

    Raises:
        ValidationError: code ``invalid_time_zone``.
    """
    if name not in _time_zones():
        raise ValidationError(
            "Use a name of the IANA time zone database, such as Europe/Lisbon.", code="invalid_time_zone"
        )


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
