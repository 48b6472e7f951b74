"""The positive control: a bug as people write it, put into the product's way into a tenant, to see that it is caught.

The bug: a variable of the process that should be one of the request. Once in a hundred entries the search path is that
of the tenant whom this process has entered before. With the wall, Postgres refuses what follows; without it, rows of
the other tenant come back.
"""

import itertools
import os
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg import sql

SETTINGS = "tests.leaks.sabotaged_settings"
VARIABLE = "SABOTAGE"
_EVERY = 100
_PATH_OF = (
    "set_config('search_path', (SELECT quote_ident(other.schema_name) || ', public' FROM registry_tenant other"
    " WHERE other.id = {tenant_id}), true)"
)


class Sabotage(StrEnum):
    """Which server the bug is in."""

    NONE = "none"
    WALL_ON = "wall-on"  # as it is deployed: the role is still the right tenant's
    WALL_OFF = "wall-off"  # as it would be without the wall: the owner serves, and becomes nobody else


class SabotageConfig(AppConfig):
    """Puts the bug in, once the product is loaded."""

    name = "tests.leaks"
    label = "sabotage"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        from tenants.context import entry, guards
        from tenants.context.backend.base import DatabaseWrapper

        if not settings.IN_DEVELOPMENT:
            raise ImproperlyConfigured("Sabotage is for the leak harness, in development, and for nothing else.")
        has_wall = Sabotage(os.environ[VARIABLE]) is Sabotage.WALL_ON
        DatabaseWrapper._examined = not has_wall  # the server would refuse to serve as the owner
        path, role, *rest = guards.BECOME_TENANT
        entry._entering = _Forgetful(guards, (path, role, *rest) if has_wall else (path, *rest))


class _Forgetful:
    """``entry._entering`` with the bug."""

    def __init__(self, guards: Any, become_tenant: tuple[Any, ...]) -> None:
        self._guards, self._become_tenant = guards, become_tenant
        self._entries = itertools.count(1)
        self._before: UUID | None = None

    def __call__(self, tenant_id: UUID, guard: Any) -> str:
        before, self._before = self._before, tenant_id
        last = self._become_tenant
        if before is not None and next(self._entries) % _EVERY == 0:
            path = sql.SQL(_PATH_OF).format(tenant_id=sql.Literal(before))
            last = (self._guards.Column("text", path), *last[1:])
        text = self._guards.compose(guard.pattern or guard, *last)
        return str(self._guards.about(tenant_id, guard, text))
