"""``python -m tests.leaks.provision 50``: make tenants, and print what a client of each has to know, as JSON."""

import json
import sys
from typing import Any

import django

ROWS = 3  # of each tenant, to begin with
_SCOPE = "projects:write"


def main() -> None:
    """Migrate the database of the environment and make as many tenants as the command line says."""
    from django.core.management import call_command

    call_command("migrate_platform", verbosity=0)
    json.dump([_tenant(f"leak-{number:03}") for number in range(int(sys.argv[1]))], sys.stdout)


def _tenant(slug: str) -> dict[str, Any]:
    from examples.projects.models import Project
    from identity.clients import services as clients
    from identity.tokens import services as tokens
    from tenants.context.entry import enter
    from tenants.lifecycle import services as lifecycle

    tenant = lifecycle.provision(name=slug, slug=slug)
    client, _ = clients.create_client(
        tenant_id=tenant.pk, name=slug, scope=[_SCOPE], by=tenant.pk, held=frozenset([_SCOPE]), expires_at=None
    )
    with enter(tenant.pk):
        rows = [Project.objects.create(name=f"{slug} {number}", created_by=client.pk) for number in range(ROWS)]
    return {
        "slug": slug,
        "schema": tenant.schema_name,
        "token": tokens.client_credentials(client=client, scope=_SCOPE).access_token,
        "rows": [{"id": str(row.pk), "name": row.name} for row in rows],
    }


if __name__ == "__main__":
    django.setup()
    main()
