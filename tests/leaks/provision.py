"""``python -m tests.leaks.provision 50``: make tenants, and print what a client of each has to know, as JSON."""

import json
import re
import sys
from typing import Any
from uuid import UUID, uuid4

import django

ROWS = 3  # of each tenant, to begin with
_SCOPE = "projects:write"
_EVERYWHERE = {"email": "everywhere@people.test", "password": "a member of each of them"}


def main() -> None:
    """Migrate the database of the environment and make as many tenants as the command line says."""
    from django.core.management import call_command

    from identity.accounts import services as accounts

    call_command("migrate_platform", verbosity=0)
    accounts.create_user(**_EVERYWHERE)
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
        "credentials": [_bearer(tokens.client_credentials(client=client, scope=_SCOPE).access_token)],
        "of_host": [*_of_member(tenant.pk, slug)],
        "rows": [{"id": str(row.pk), "name": row.name} for row in rows],
    }


def _of_member(tenant_id: UUID, slug: str) -> list[dict[str, str]]:
    """Return the credentials of one person, who is in every tenant: by each tenant's own provider, by an app that acts
    for them, and by the cookie of a browser.
    """
    from identity.accounts.models import User
    from identity.members import services as members
    from identity.sessions.proof import FEDERATED, Proof, Way
    from identity.sessions.services import Device
    from identity.tokens import services as tokens

    person = User.objects.get(email=_EVERYWHERE["email"])
    members.add_member(tenant_id=tenant_id, user_id=person.pk, role="member")
    proofs = [
        Proof(way=Way.SSO, methods=(FEDERATED,), only_tenant_id=tenant_id),
        Proof(application_id=uuid4(), only_tenant_id=tenant_id),
    ]
    issued = [
        tokens.sign_in(
            user=person, host_tenant=None, slug=slug, scope=_SCOPE, proof=proof, device=Device(None, "")
        ).access_token
        for proof in proofs
    ]
    return [*map(_bearer, issued), _cookies(f"{slug}.localhost")]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _cookies(host: str) -> dict[str, str]:
    """Sign in on the page of a tenant's host, and return what the browser sends from then on."""
    from django.test import Client

    browser = Client(HTTP_HOST=host)
    form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/sign-in").content.decode())
    assert form is not None
    answer = browser.post("/sign-in", {"csrfmiddlewaretoken": form[1], **_EVERYWHERE})
    assert answer.status_code == 302, answer.content
    kept = {name: morsel.value for name, morsel in browser.cookies.items()}
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items()), "X-CSRFToken": kept["csrftoken"]}


if __name__ == "__main__":
    django.setup()
    main()
