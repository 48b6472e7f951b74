"""``manage.py archive_tenant``: put a tenant away, or bring it back."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tenants.lifecycle import deletion
from tenants.lifecycle.management.tenant import add_tenant_argument, tenant_of, told


class Command(BaseCommand):
    help = "Archive a tenant: nobody enters it, and all of it is kept. With --undo it serves again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_tenant_argument(parser)
        parser.add_argument("--undo", action="store_true", help="Bring it back, also from a deletion to come.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        with told():
            change = deletion.unarchive_tenant if options["undo"] else deletion.archive_tenant
            tenant = change(tenant_id=tenant_of(options).pk)
        if options["json"]:
            self.stdout.write(json.dumps({"id": str(tenant.pk), "slug": tenant.slug, "status": tenant.status}))
        else:
            self.stdout.write(f"{tenant.slug} is {tenant.status}.")
