"""Where settings come from: environment variables, and in development files that are made on the first start."""

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg_pool import ConnectionPool

PRODUCTION = "production"
DEVELOPMENT = "development"
TENANT_APP_FOLDERS = ("examples", "apps")  # the product's example, and the apps of whoever adopts it
# What may be in a file instead: <NAME>_FILE says in which.
SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "EMAIL_URL",
    "REDIS_URL",
    "METRICS_TOKEN",
    "SOCIAL_PROVIDERS",
)


def variables() -> environ.Env:
    """Return the environment, secrets in files included; see ``with_secrets_of_files``."""
    env = environ.Env()
    env.ENVIRON = with_secrets_of_files(env.ENVIRON)
    return env


def environment_name(value: str) -> str:
    """Return which of the two environments this is.

    Raises:
        ImproperlyConfigured: it is neither.
    """
    if value not in (PRODUCTION, DEVELOPMENT):
        raise ImproperlyConfigured(f"TENANTRY_ENV is {value!r}; it is `production` (the default) or `development`.")
    return value


def is_development(env: environ.Env) -> bool:
    """Tell which of the two environments this is; production is the default."""
    return environment_name(env.str("TENANTRY_ENV", default=PRODUCTION)) == DEVELOPMENT


def with_secrets_of_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, with each secret read from the file that ``<NAME>_FILE`` names: how containers get them.

    An empty file is as good as none.

    Raises:
        ImproperlyConfigured: a secret is given in both ways, or its file cannot be read.
    """
    found = dict(given)
    for name in SECRETS:
        file = given.get(f"{name}_FILE")
        if not file:
            continue
        if given.get(name):
            raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set: which of them holds?")
        try:
            content = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from None
        found[name] = content
        if not content:
            del found[name]
    return found


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


def tenant_apps(root: Path) -> list[str]:
    """Return the modules of all tenant apps in the checkout: whatever has an ``apps.py`` below the folders for them."""
    found = [file for folder in TENANT_APP_FOLDERS for file in sorted((root / folder).rglob("apps.py"))]
    return [".".join(file.parent.relative_to(root).parts) for file in found]


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
