"""``manage.py clone_tenant``: make a sandbox of a live tenant."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from tenants.lifecycle.cloning import clone_tenant
from tenants.lifecycle.management.tenant import add_tenant_argument, tenant_of, told
from tenants.lifecycle.progress import shown


class Command(BaseCommand):
    help = "Make a tenant like another one, with its rows as they are at this moment, and one owner."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_tenant_argument(parser)
        parser.add_argument("slug", help="The sandbox's slug.")
        parser.add_argument("--name", help="Its name (default: the slug).")
        parser.add_argument("--owner", type=UUID, help="The id of the account that owns it.")
        parser.add_argument("--without-data", action="store_true", help="Leave its tables empty.")
        parser.add_argument("--with-members", action="store_true", help="Copy the members, owners and all.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["with_members"] == bool(options["owner"]):
            raise CommandError("Name its --owner, or copy the members.")
        with told(), shown(quiet=options["json"]) as progress:
            tenant = clone_tenant(
                source_id=tenant_of(options).pk,
                slug=options["slug"],
                name=options["name"] or options["slug"],
                owner_id=options["owner"],
                with_data=not options["without_data"],
                with_members=options["with_members"],
                progress=progress,
            )
        if options["json"]:
            self.stdout.write(json.dumps({"id": str(tenant.pk), "slug": tenant.slug, "status": tenant.status}))
        else:
            self.stdout.write(f"{tenant.slug} ({tenant.pk}) is {tenant.status}.")
