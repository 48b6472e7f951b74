"""Reading times by the interpreter's own parser, where Django's way takes each apart by a regular expression."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg.adapt import AdaptersMap


class UtcLoader(BaseTzLoader):  # type: ignore[misc]  # django-stubs do not have it
    """Reads ``timestamptz`` in a session whose time zone is UTC, and leaves to Django what is no plain time in UTC:
    ``infinity``, years before Christ and after 9999.
    """

    timezone = UTC

    def load(self, data: Any) -> Any:
        """Return the time."""
        try:
            value = datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            return super().load(data)
        return value if value.tzinfo is UTC else super().load(data)


@lru_cache(maxsize=8)
def with_fast_times(adapters: AdaptersMap) -> AdaptersMap:
    """Return `adapters` with times in UTC read the fast way."""
    found = AdaptersMap(adapters)
    found.register_loader("timestamptz", UtcLoader)
    return found
