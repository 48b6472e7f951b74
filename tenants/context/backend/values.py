"""Reading times and UUIDs the short way: most of what a row is made of, and most of what reading it takes."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, SafeUUID

from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg.adapt import AdaptersMap, Loader


class UtcLoader(BaseTzLoader):  # type: ignore[misc]  # django-stubs do not have it
    """Reads ``timestamptz`` in a session whose time zone is UTC by the interpreter's own parser, where Django's way
    takes each apart by a regular expression; and leaves to Django what is no plain time in UTC: ``infinity``, years
    before Christ and after 9999.
    """

    timezone = UTC

    def load(self, data: Any) -> Any:
        """Return the time."""
        try:
            value = datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            return super().load(data)
        return value if value.tzinfo is UTC else super().load(data)


class UuidLoader(Loader):
    """Reads ``uuid`` as Postgres writes it, without the constructor's looking for what else it may have been given: a
    third of the time.
    """

    def load(self, data: Any) -> UUID:
        """Return the UUID."""
        found = _new(UUID)
        _set(found, "int", int(bytes(data).replace(b"-", b""), 16))
        _set(found, "is_safe", SafeUUID.unknown)
        return found


_new, _set = object.__new__, object.__setattr__


@lru_cache(maxsize=8)
def with_fast_loaders(adapters: AdaptersMap, *, in_utc: bool) -> AdaptersMap:
    """Return `adapters` with UUIDs read the short way, and times, if the session's are in UTC."""
    found = AdaptersMap(adapters)
    found.register_loader("uuid", UuidLoader)
    if in_utc:
        found.register_loader("timestamptz", UtcLoader)
    return found
