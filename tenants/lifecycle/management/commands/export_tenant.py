"""``manage.py export_tenant``: write all of one tenant into one file, while it serves."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from tenants.lifecycle.exporting import export_tenant
from tenants.lifecycle.management.tenant import add_tenant_argument, tenant_of, told
from tenants.lifecycle.progress import shown


class Command(BaseCommand):
    help = "Export a tenant, its tables and what belongs to it among the shared ones, to a file that can be restored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_tenant_argument(parser)
        parser.add_argument("file", type=Path, help="The file to write; one that is there is replaced.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        with told(), shown(quiet=options["json"]) as progress:
            done = export_tenant(tenant_id=tenant_of(options).pk, path=options["file"], progress=progress)
        if options["json"]:
            self.stdout.write(json.dumps(vars(done) | {"path": str(done.path)}))
        else:
            self.stdout.write(f"Wrote {done.rows} rows to {done.path}, {done.size:,} bytes.")
