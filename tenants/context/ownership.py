"""Working as the owner of the tables: for what changes structure (migrations, the life of a tenant), never for a
request of a tenant.

The owner logs in with a role and on a connection of its own (``DATABASES["owner"]``). While it works, the router sends
every query there, so that all of a change is one transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from tenants.wall.roles import OWNER

_owning: ContextVar[bool] = ContextVar("owning", default=False)  # a new thread owns nothing


def current_alias() -> str:
    """Return the connection that queries go to now."""
    return OWNER if _owning.get() else DEFAULT_DB_ALIAS


@contextmanager
def routed_to_owner() -> Iterator[None]:
    """Send every query of this thread to the owner's connection."""
    token = _owning.set(True)
    try:
        yield
    finally:
        _owning.reset(token)


def knows_owner() -> bool:
    """Tell whether this process knows how to log in as the owner."""
    return bool(connections[OWNER].settings_dict.get("USER"))


@contextmanager
def as_owner() -> Iterator[None]:
    """Work as the owner, in one transaction; inside another such block, in that one's.

    Raises:
        ImproperlyConfigured: this process does not know how to log in as the owner.
    """
    if not knows_owner():
        raise ImproperlyConfigured(
            "DATABASE_OWNER_URL is not set: nobody creates or migrates a tenant here without it."
        )
    with routed_to_owner(), transaction.atomic(using=OWNER):
        yield
