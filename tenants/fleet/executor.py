"""How ``migrate_schemas`` migrates tenants: each in one transaction, none stopped by another one's failure."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError
from django_tenants.migration_executors.base import MigrationExecutor, run_migrations
from django_tenants.utils import get_tenant_base_migrate_command_class

from tenants.context.entry import maintain
from tenants.context.ownership import routed_to_owner
from tenants.registry import selectors
from tenants.wall import services as wall


class TransactionalExecutor(MigrationExecutor):  # type: ignore[misc]  # django-tenants has no types
    """django-tenants' executor on top of ``maintain``."""

    codename = "transactional"

    def run_migrations(self, tenants: Iterable[str] | None = None) -> None:
        """Migrate the named schemas.

        Raises:
            CommandError: some tenants could not be migrated; all others were, and the message names each failure.
        """
        failures: dict[str, Exception] = {}
        with routed_to_owner():
            for schema_name in list(tenants or ()):
                if schema_name == self.PUBLIC_SCHEMA_NAME:
                    run_migrations(self.args, self.options, self.codename, schema_name)
                    continue
                try:
                    self._migrate_tenant(schema_name)
                except Exception as error:  # noqa: BLE001 -- one tenant's failure, whatever it is, is not the fleet's
                    failures[schema_name] = error
        if failures:
            lines = (f"  {schema_name}: {error}" for schema_name, error in failures.items())
            raise CommandError("\n".join([f"{len(failures)} tenant(s) were not migrated:", *lines]))

    def _migrate_tenant(self, schema_name: str) -> None:
        with maintain(selectors.tenants().get(schema_name=schema_name)):
            get_tenant_base_migrate_command_class()().execute(*self.args, **self.options)
            wall.build_tenant(schema_name=schema_name)


def get_executor(codename: str | None = None) -> type[MigrationExecutor]:
    """Return the one executor that goes through the tenant context (``GET_EXECUTOR_FUNCTION``).

    The others set the path of a session, which our backend refuses.
    """
    if codename not in (None, "standard", TransactionalExecutor.codename):
        raise CommandError(f"Executor {codename!r} would work outside a tenant context: use the default one.")
    executor: Any = TransactionalExecutor
    return executor  # type: ignore[no-any-return]  # django-tenants has no types
