"""Where settings come from: environment variables, and in development files that are made on the first start."""

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg_pool import ConnectionPool

PRODUCTION = "production"
DEVELOPMENT = "development"


def environment_name(value: str) -> str:
    """Return which of the two environments this is.

    Raises:
        ImproperlyConfigured: it is neither.
    """
    if value not in (PRODUCTION, DEVELOPMENT):
        raise ImproperlyConfigured(f"TENANTRY_ENV is {value!r}; it is `production` (the default) or `development`.")
    return value


def secret(name: str, value: str, *, file: Path | None, generate: Callable[[], str]) -> str:
    """Return a secret: `value` where it is set, else the content of `file`, which is made the first time.

    Args:
        file: where development keeps it; None in production, where secrets come from the environment or not at all.

    Raises:
        ImproperlyConfigured: production, and no value.
    """
    if value:
        return value
    if file is None:
        raise ImproperlyConfigured(
            f"{name} is not set. Production takes it from the environment; `TENANTRY_ENV=development` makes its own."
        )
    if not file.exists():
        _create(file, generate())
    return file.read_text()


def random_secret() -> str:
    """Return 384 random bits as text."""
    return secrets.token_urlsafe(48)


def database(url: str) -> dict[str, Any]:
    """Return Django's connection settings for a ``postgresql://`` URL; placeholders while there is none.

    Commands that need no database (checks, migrations to be made) run without one.

    Raises:
        ImproperlyConfigured: the URL is for another kind of database.
    """
    if not url:
        return {"NAME": "database-url-is-not-set", "HOST": "127.0.0.1"}
    parsed: dict[str, Any] = environ.Env.db_url_config(url)
    if "postgres" not in str(parsed.get("ENGINE")):
        raise ImproperlyConfigured("DATABASE_URL is no postgresql:// URL: a schema for each tenant needs PostgreSQL.")
    return parsed


def look_for_the_database_again(pool: ConnectionPool[Any]) -> None:
    """Let a pool that gave up connecting begin anew."""
    pool.check()


def _create(file: Path, content: str) -> None:
    """Write a file that is whole or not there, readable by its owner; the first of two writers wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(content)
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
