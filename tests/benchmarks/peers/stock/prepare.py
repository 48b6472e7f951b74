"""Its tenants, people, tokens and rows: as many and as long as ours."""

import json
import sys
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 -- Django comes first
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from psycopg import sql  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402

from tenants.lifecycle.recording import record  # noqa: E402
from tests.benchmarks.peers.calls import PASSWORD, SESSIONS  # noqa: E402
from tests.benchmarks.peers.ours import ROWS  # noqa: E402
from tests.benchmarks.peers.stock.models import Domain, Membership, Tenant  # noqa: E402


def prepare(tenants: int) -> dict[str, Any]:
    """Make the first tenant as django-tenants does, and the others with the same SQL, which is faster."""
    call_command("migrate_schemas", shared=True, interactive=False, verbosity=0)
    with record(connection) as recording:
        first = Tenant(name="A tenant", schema_name="stock_0")
        first.save(verbosity=0)
    script = ";\n".join(statement for statement in recording.statements if "stock_0" not in statement)
    script = script.partition("CREATE TABLE")[2]
    made = [_fill(first, 0)]
    for number in range(1, tenants):
        name = f"stock_{number}"
        create = sql.SQL("CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema};").format(
            schema=sql.Identifier(name)
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.cursor.execute(f"{create.as_string()} CREATE TABLE{script}; SET LOCAL search_path TO public")
        tenant = Tenant.objects.bulk_create([Tenant(name="A tenant", schema_name=name)])[0]
        made.append(_fill(tenant, number))
    return {"tenants": made, "prefix": "", "suffix": "/"}


def _fill(tenant: Tenant, number: int) -> dict[str, Any]:
    connection.set_schema_to_public()
    host, email = f"tenant-{number}.localhost", f"owner{number}@people.test"
    Domain.objects.create(domain=host, tenant=tenant, is_primary=True)
    user = User(username=email, email=email, password="!")
    if number == 0:
        user.set_password(PASSWORD)
    user.save()
    Membership.objects.create(tenant=tenant, user=user, role="owner")
    with connection.cursor() as cursor:
        table = f"{tenant.schema_name}.projects_project"
        cursor.execute(ROWS.replace("projects_project", table), [f"{user.pk:032x}"])
        projects = [str(row[0]) for row in cursor.fetchall()]
    refresh = [_signed_in(user, tenant) for _ in range(1 if number else SESSIONS)]
    return {
        "schema": tenant.schema_name,
        "host": host,
        "email": email,
        "token": str(refresh[0].access_token),
        "refresh": [str(each) for each in refresh] if number == 0 else [],
        "projects": projects,
    }


def _signed_in(user: User, tenant: Tenant) -> RefreshToken:
    token = RefreshToken.for_user(user)
    token["tenant"], token["role"] = tenant.schema_name, "owner"  # read by the tuned peer alone
    return token


if __name__ == "__main__":
    sys.stdout.write(json.dumps(prepare(int(sys.argv[1]))))
