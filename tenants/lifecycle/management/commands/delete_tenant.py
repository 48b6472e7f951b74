"""``manage.py delete_tenant``: decide on a tenant's deletion, take that back, or delete those whose time is over."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.lifecycle import deletion
from tenants.lifecycle.management.tenant import add_tenant_argument, tenant_of, told
from tenants.lifecycle.progress import Progress, shown
from tenants.registry.models import Tenant


class Command(BaseCommand):
    help = (
        "Archive a tenant to be deleted after the time of grace. --due deletes those whose time is over, and finishes"
        " what was killed: for cron."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_tenant_argument(parser, optional=True)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--cancel", action="store_true", help="Keep it after all; it stays archived.")
        what.add_argument("--now", action="store_true", help="Delete it at once, without any grace.")
        what.add_argument("--due", action="store_true", help="Delete every tenant whose time is over.")
        parser.add_argument("--yes", action="store_true", help="With --now: do not ask.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["due"] == bool(options["tenant"]):
            raise CommandError("Name a tenant, or say --due.")
        with told(), shown(quiet=options["json"]) as progress:
            tenants = list(deletion.tenants_to_delete()) if options["due"] else [tenant_of(options)]
            for tenant in tenants:
                self._do(tenant, options, progress)
        report = [{"id": str(tenant.pk), "slug": tenant.slug, **self._state(tenant)} for tenant in tenants]
        if options["json"]:
            self.stdout.write(json.dumps(report))
        for entry in [] if options["json"] else report:
            when = f", to be deleted at {entry['delete_at']}" if entry["delete_at"] else ""
            self.stdout.write(f"{entry['slug']} is {entry['status']}{when}.")

    @staticmethod
    def _do(tenant: Tenant, options: dict[str, Any], progress: Progress) -> None:
        if options["cancel"]:
            deletion.cancel_deletion(tenant_id=tenant.pk)
        elif options["now"] or options["due"]:
            if (
                options["now"]
                and not options["yes"]
                and input(f"Delete all of {tenant.slug}? Its slug: ") != tenant.slug
            ):
                raise CommandError("Nothing was deleted.")
            deletion.delete_tenant(tenant_id=tenant.pk, at_once=options["now"], progress=progress)
        else:
            deletion.schedule_deletion(tenant_id=tenant.pk)

    @staticmethod
    def _state(tenant: Tenant) -> dict[str, Any]:
        now = Tenant.objects.filter(pk=tenant.pk).first()
        if now is None:
            return {"status": "deleted", "delete_at": None}
        return {"status": now.status, "delete_at": now.delete_at and now.delete_at.isoformat()}
