"""``manage.py restore_tenant``: make a tenant of an export, or put its data in the place of the tenant's own."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.lifecycle.management.tenant import find, told
from tenants.lifecycle.progress import shown
from tenants.lifecycle.replacing import confirm_restore, undo_restore
from tenants.lifecycle.restoring import restore_in_place, restore_tenant


class Command(BaseCommand):
    help = (
        "Restore a tenant from a file: beside what is here (the default), or with --in-place instead of the tenant's"
        " present data, which is kept until --confirm and comes back by --undo. It can be killed and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="The export.")
        parser.add_argument("--slug", help="The restored tenant's slug (default: the former one).")
        parser.add_argument("--name", help="Its name (default: the former one).")
        parser.add_argument("--foreign", action="store_true", help="Trust a file that this platform did not write.")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--in-place", metavar="TENANT", help="Replace the data of this tenant (slug or id).")
        what.add_argument("--undo", metavar="TENANT", help="Bring back the data from before a restore in place.")
        what.add_argument("--confirm", metavar="TENANT", help="Drop the data from before a restore in place.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        wants_file = not (options["undo"] or options["confirm"])
        if wants_file != (options["file"] is not None):
            raise CommandError("Name a file to restore from, or --undo or --confirm a restore in place.")
        with told(), shown(quiet=options["json"]) as progress:
            if options["undo"]:
                tenant = undo_restore(tenant_id=find(options["undo"]).pk)
            elif options["confirm"]:
                tenant = find(options["confirm"])
                confirm_restore(tenant_id=tenant.pk, progress=progress)
            elif options["in_place"]:
                tenant = restore_in_place(
                    path=options["file"],
                    tenant_id=find(options["in_place"]).pk,
                    foreign=options["foreign"],
                    progress=progress,
                )
            else:
                wanted = {name: options[name] for name in ("slug", "name", "foreign")}
                tenant = restore_tenant(path=options["file"], progress=progress, **wanted)
        if options["json"]:
            self.stdout.write(json.dumps({"id": str(tenant.pk), "slug": tenant.slug, "status": tenant.status}))
        else:
            self.stdout.write(f"{tenant.slug} ({tenant.pk}) is {tenant.status}.")
