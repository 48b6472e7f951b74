"""What is looked after by time of day (UTC). A look is cheap, and asks for a job where there is something to do.

With several workers each look happens once; with none it does not, and nothing piles up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from identity.mail.delivery import due
from jobs import services
from jobs.kinds import JobKind
from tenants.lifecycle import deletion, pool


@dataclass(frozen=True)
class Entry:
    """When to look, as in crontab(5), and how."""

    cron: str
    look: Callable[[], object]


def add(name: str, entry: Entry) -> None:
    """Add an entry; call it from the ``ready()`` of an app above.

    Raises:
        ValueError: another entry has the name.
    """
    if SCHEDULE.get(name, entry) != entry:
        raise ValueError(f"The schedule has an entry {name!r} already.")
    SCHEDULE[name] = entry


def look(name: str) -> None:
    """Look after one entry of the schedule."""
    SCHEDULE[name].look()


def _look_for_mail() -> None:
    # The serving processes send their own mail; this is what one of them left behind.
    if due().exists():
        services.request(kind=JobKind.SEND_MAIL)


def _look_at_pool() -> None:
    if pool.size() < settings.POOL_SIZE:
        services.request(kind=JobKind.FILL_POOL)


def _look_for_deletions() -> None:
    for tenant in deletion.tenants_to_delete().only("id"):
        services.request(kind=JobKind.DELETE_TENANT, tenant_id=tenant.pk)


SCHEDULE: dict[str, Entry] = {
    "mail": Entry("* * * * *", _look_for_mail),
    "pool": Entry("*/5 * * * *", _look_at_pool),
    "deletions": Entry("7 * * * *", _look_for_deletions),
    "reconcile": Entry("37 * * * *", partial(services.request, kind=JobKind.RECONCILE)),
    "prune": Entry("17 3 * * *", partial(services.request, kind=JobKind.PRUNE)),
    "domains": Entry("47 4 * * *", partial(services.request, kind=JobKind.CHECK_DOMAINS)),
}
