"""The kinds of long work, and the function that does each.

An app of yours registers kinds of its own in its ``ready()``, and asks for them with ``services.request``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from jobs.models import KIND_LENGTH


class JobKind(StrEnum):
    """The kinds that the product has."""

    FILL_POOL = "fill_pool"
    EXPORT_TENANT = "export_tenant"
    RESTORE_TENANT = "restore_tenant"
    CONFIRM_RESTORE = "confirm_restore"
    UNDO_RESTORE = "undo_restore"
    DELETE_TENANT = "delete_tenant"
    CLONE_TENANT = "clone_tenant"
    MIGRATE_FLEET = "migrate_fleet"
    RECONCILE = "reconcile"
    PRUNE = "prune"
    CHECK_DOMAINS = "check_domains"
    SEND_MAIL = "send_mail"


class HowFar(Protocol):
    """To be called between steps: says how far one is, and with what, and raises when the job is not to go on."""

    def __call__(self, done: int, total: int | None = None, doing: str = "") -> None: ...


@dataclass(frozen=True)
class Work:
    """What the function of a kind gets to know.

    Attributes:
        run: how often somebody began with this job; from the second time on some of it may have been done.
        began_at: when somebody first did.
    """

    job_id: UUID
    run: int
    began_at: datetime
    tenant_id: UUID | None
    arguments: Mapping[str, Any]
    requested_by: UUID | None
    progress: HowFar


@dataclass(frozen=True)
class Kind:
    """How a kind of job is done.

    Attributes:
        run: does it, and returns what came of it, as JSON. It may be killed at any moment, and is run again from its
            beginning: it finds out itself what is left to do.
        attempts: how often it may fail before it has failed for good.
        cancellable: whether it may be ended, or have to wait, when it has begun.
    """

    run: Callable[[Work], Mapping[str, Any] | None]
    attempts: int = 5
    cancellable: bool = True


_table: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Add a kind.

    Raises:
        ValueError: there is one of this name, or the name is too long.
    """
    if name in _table or len(name) > KIND_LENGTH:
        raise ValueError(f"No kind of job can be called {name!r}: it is taken, or longer than {KIND_LENGTH}.")
    _table[name] = kind


def of(name: str) -> Kind:
    """Return a kind.

    Raises:
        LookupError: there is none of this name.
    """
    return _table[name]
