"""The product: its settings with the example app, and its tenants, people, tokens and rows."""

import json
import os
import sys
from typing import Any

from tests.benchmarks.peers.calls import PASSWORD, SESSIONS, SIGNING_IN

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "TENANTRY_ENV": "development",
    "TENANT_APPS": "examples.projects",
    "ACCESS_SECONDS": "86400",
    "POOL_SIZE": "0",
    "MAIL_DELIVERY": "command",
    "LOG_LEVEL": "WARNING",
    # Limits are counted, and never reached.
    **{f"THROTTLE_{name}": "9999999/min" for name in ("PRINCIPAL", "ANONYMOUS", "TOKEN", "SIGN_IN")},
}
ROWS = """
    INSERT INTO projects_project (id, name, description, status, created_by, created_at, updated_at)
    SELECT gen_random_uuid(), 'Project ' || number, repeat('What it is about. ', 5), 'active', %s, now(), now()
    FROM generate_series(1, 20) number RETURNING id
"""


def prepare(tenants: int) -> dict[str, Any]:
    """Make tenants, each with an owner who is signed in and with 20 rows."""
    from django.core.management import call_command

    from identity.accounts import services as accounts
    from identity.members import services as members

    call_command("migrate_platform", verbosity=0)
    made = [_tenant(number) for number in range(tenants)]
    both = accounts.create_user(email="both@people.test", password=PASSWORD)
    for tenant in {made[0]["id"], made[-1]["id"]}:
        members.add_member(tenant_id=tenant, user_id=both.pk, role="member")
    made[0]["both"] = _sign_in(both, made[0]["id"]).access_token
    return {"tenants": [json.loads(json.dumps(tenant, default=str)) for tenant in made], "prefix": "", "suffix": ""}


def _tenant(number: int) -> dict[str, Any]:
    from django.db import connection

    from identity.accounts import services as accounts
    from identity.members import services as members
    from tenants.context.entry import enter
    from tenants.lifecycle import services as lifecycle

    slug, email = f"tenant-{number}", f"owner{number}@people.test"
    tenant = lifecycle.provision(name="A tenant", slug=slug)
    signs_in = number < SIGNING_IN
    owner = accounts.create_user(email=email, password=PASSWORD) if signs_in else _person(email)
    members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role="owner")
    with enter(tenant.pk), connection.cursor() as cursor:
        cursor.execute(ROWS, [owner.pk])
        projects = [row[0] for row in cursor.fetchall()]
    issued = [_sign_in(owner, tenant.pk) for _ in range(1 if number else SESSIONS)]
    made: dict[str, Any] = {
        "id": tenant.pk,
        "slug": slug,
        "schema": tenant.schema_name,
        "host": f"{slug}.localhost",
        "email": email,
        "token": issued[0].access_token,
        "refresh": [each.refresh_token for each in issued] if number == 0 else [],
        "projects": projects,
    }
    if signs_in:
        made["client"] = _client_of(tenant.pk)
    return made


def _person(email: str) -> Any:
    """Somebody who never signs in with a password: hashing thousands of them would take minutes."""
    from django.utils import timezone

    from identity.accounts.models import User

    return User.objects.create(email=email, password="!", email_verified_at=timezone.now())


def _sign_in(person: Any, tenant_id: Any) -> Any:
    from identity.members import selectors as members
    from identity.sessions.models import Api
    from identity.sessions.proof import BY_PASSWORD
    from identity.sessions.services import Device
    from identity.tokens import services as tokens
    from identity.tokens.authority import Authority

    authority = Authority.of_person(members.membership(user_id=person.pk, tenant_id=tenant_id))
    device = Device(user_agent="benchmark", ip_address="127.0.0.1")
    return tokens.start(user=person, authority=authority, api=Api.TENANT, scope="", proof=BY_PASSWORD, device=device)


def _client_of(tenant_id: Any) -> dict[str, Any]:
    from identity.clients import services as clients
    from identity.tokens import services as tokens

    scope = ["projects:write", "tasks:write"]
    client, secret = clients.create_client(
        tenant_id=tenant_id, name="Machine", scope=scope, by=tenant_id, held=frozenset(scope), expires_at=None
    )
    token = tokens.client_credentials(client=client, scope="").access_token
    return {"id": client.pk, "secret": secret, "token": token}


if __name__ == "__main__":
    os.environ |= ENVIRONMENT
    import django

    django.setup()
    sys.stdout.write(json.dumps(prepare(int(sys.argv[1]))))
