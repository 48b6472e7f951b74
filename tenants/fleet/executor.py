"""How ``migrate_schemas`` migrates tenants: as a run over the fleet; see ``runner``."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError
from django_tenants.migration_executors.base import MigrationExecutor, run_migrations
from django_tenants.utils import get_tenant_base_migrate_command_class

from tenants.context.entry import maintain
from tenants.context.ownership import routed_to_owner
from tenants.fleet import runner
from tenants.fleet.errors import describe
from tenants.fleet.reports import refuse_failures
from tenants.registry import selectors
from tenants.wall import services as wall

# With these, a tenant is asked for something else than the newest migrations: Django's own command does it.
_SPECIAL = ("app_label", "migration_name", "fake", "fake_initial", "plan", "prune", "check_unapplied", "run_syncdb")


class FleetExecutor(MigrationExecutor):  # type: ignore[misc]  # django-tenants has no types
    """django-tenants' executor on top of the fleet runner."""

    codename = "fleet"

    def run_migrations(self, tenants: Iterable[str] | None = None) -> None:
        """Migrate the named schemas.

        Raises:
            CommandError: some tenants could not be migrated; all others were, and the message names each failure.
        """
        names = list(tenants or ())
        if self.PUBLIC_SCHEMA_NAME in names:
            names.remove(self.PUBLIC_SCHEMA_NAME)
            with routed_to_owner():
                run_migrations(self.args, self.options, self.codename, self.PUBLIC_SCHEMA_NAME)
        if any(self.options.get(option) for option in _SPECIAL):
            self._one_by_one(names)
        elif names:
            parallel = {"parallel": self.options["parallel"]} if self.options.get("parallel") else {}
            refuse_failures(runner.run(runner.Wish(schema_names=names, **parallel)))

    def _one_by_one(self, names: list[str]) -> None:
        failures: dict[str, str] = {}
        with routed_to_owner():
            for schema_name in names:
                try:
                    with maintain(selectors.tenants().get(schema_name=schema_name)):
                        get_tenant_base_migrate_command_class()().execute(*self.args, **self.options)
                        wall.build_tenant(schema_name=schema_name)
                except Exception as error:  # noqa: BLE001 -- one tenant's failure, whatever it is, is not the fleet's
                    failures[schema_name] = describe(error)
        if failures:
            lines = (f"  {schema_name}: {error}" for schema_name, error in failures.items())
            raise CommandError("\n".join([f"{len(failures)} tenant(s) were not migrated:", *lines]))


def get_executor(codename: str | None = None) -> type[MigrationExecutor]:
    """Return the one executor that goes through the tenant context (``GET_EXECUTOR_FUNCTION``).

    The others set the path of a session, which our backend refuses.
    """
    if codename not in (None, "standard", FleetExecutor.codename):
        raise CommandError(f"Executor {codename!r} would work outside a tenant context: use the default one.")
    executor: Any = FleetExecutor
    return executor  # type: ignore[no-any-return]  # django-tenants has no types
