"""``manage.py start_tenant_app invoices``: an app in every tenant's schema, with its API and its tests."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import scaffolding
from config.environment import TENANT_APP_FOLDERS

_NEXT = """
It is wired: development serves every app below {folders}, at /api/v1/{resource}.

  make golden schema    who may do what with it, and its documents: read the diff, it is a change of rights
  make test             its tests are in tests/test_app_{name}.py
  make demo             migrates every tenant, and serves

Production names the apps it serves: TENANT_APPS={apps}
Changed the model? `manage.py makemigrations {name}`. See examples/README.md.
"""


class Command(BaseCommand):
    help = "Make a tenant app: model, selectors, services, API with scopes, migration and tests."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The plural that is in the URL, such as `invoices` or `invoice_lines`.")
        parser.add_argument("--model", help="Its model, such as `InvoiceLine`; made from the name if it is not given.")
        parser.add_argument("--folder", default=TENANT_APP_FOLDERS[-1], help="Where it goes (default: %(default)s).")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be written, and write nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IN_DEVELOPMENT:
            raise CommandError("Code is written in development: set TENANTRY_ENV=development.")
        try:
            said = scaffolding.words(name=options["name"], model=options["model"], folder=options["folder"])
            planned = scaffolding.files(said)
            scaffolding.refuse_clashes(said, planned)
            written = [*planned] if options["dry_run"] else scaffolding.write(said, planned)
        except scaffolding.Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write("Would write:" if options["dry_run"] else "Wrote:")
        for path in written:
            self.stdout.write(f"  {path.relative_to(settings.ROOT)}")
        if not options["dry_run"]:
            self.stdout.write(
                _NEXT.format(
                    name=said.name,
                    resource=said.resource,
                    folders=" and ".join(f"{folder}/" for folder in TENANT_APP_FOLDERS),
                    apps=",".join(sorted({*settings.TENANT_APPS, said.module})),
                ).rstrip()
            )
