"""A tenant with something of everything, for tests that export, restore, clone and delete it."""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from psycopg import sql
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from examples.projects.models import Project, Task
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients import services as clients
from identity.domains.models import DomainClaim
from identity.invitations import services as invitations
from identity.invitations.models import Invitation, InvitationToken
from identity.members import services as members
from identity.roles import services as roles
from permissions.roles import Role
from permissions.standing import Standing
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.lifecycle import tables
from tenants.lifecycle.models import FormerSchema, Tombstone
from tenants.registry.models import Domain, Tenant
from tests import committed
from tests.committed import drop_schema, provisioned

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("TENANTRY_TEST_KILLS", "4"))
OWNER, MEMBER = "owner@leaving.test", "member@leaving.test"
HELD = Standing.built_in(Role.OWNER).scopes


@dataclass
class Leaving:
    """The tenant, its people, and what opens it: none of that is good for whoever comes after it."""

    tenant: Tenant
    owner: User
    member: User
    client: tuple[str, str]
    invitation: str
    tokens: dict[str, Any]


@pytest.fixture
def leaving(unwrapped: None) -> Iterator[Leaving]:
    """A tenant, committed; nothing of it, of its people or of what becomes of it is left afterwards."""
    before = committed.schemas()
    with provisioned("leaving") as tenant:
        people = [accounts.create_user(email=email, password=PASSWORD, name=email[:5]) for email in (OWNER, MEMBER)]
        yield _furnish(tenant, *people)
    for name in committed.schemas() - before:
        drop_schema(name)
    with as_owner():
        FormerSchema.objects.all().delete()
        Tombstone.objects.all().delete()
        Tenant.objects.exclude(slug__in=("acme", "globex")).delete()
        User.objects.filter(email__endswith="@leaving.test").delete()


def _furnish(tenant: Tenant, owner: User, member: User) -> Leaving:
    members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
    role = roles.create_role(
        tenant_id=tenant.pk, name="planner", description="Plans", scopes=["projects:read"], held=HELD
    )
    members.add_member(tenant_id=tenant.pk, user_id=member.pk, role=role.name)
    client, secret = clients.create_client(
        tenant_id=tenant.pk, name="Robot", scope=["projects:read"], by=owner.pk, held=HELD, expires_at=None
    )
    invitation = invitations.invite(
        tenant_id=tenant.pk, email="late@leaving.test", role="member", by=owner.pk, held=HELD, days=7
    )
    row = Invitation.objects.defer(None).get(pk=invitation.pk)
    now = timezone.now()
    DomainClaim.objects.create(
        tenant=tenant, domain="leaving.example", expires_at=now + timedelta(days=9), proved_at=now, auto_join=True
    )
    Domain.objects.create(tenant=tenant, domain="app.leaving.example", is_primary=False)
    own = {"time_zone": "Europe/Paris", "branding": {"welcome": 'Bonjour \\ "là"'}, "support_policy": "never"}
    own["sign_in_policy"] = {"max_session_hours": 100, "ways": ["password"], "break_glass": [str(owner.pk)]}
    Tenant.objects.filter(pk=tenant.pk).update(**own)
    with enter(tenant.pk):
        for number in range(20):
            project = Project.objects.create(
                name=f"Nº {number}\t\\N", description="line\nbreak \\. \x01 'quoted'", created_by=owner.pk
            )
            Task.objects.create(project=project, title="T", created_by=client.pk, assignee_id=member.pk)
    token = str(InvitationToken.issue(row.pk, row.generation, row.secret))
    return Leaving(tenant, owner, member, (str(client.pk), secret), token, sign_in(OWNER, "leaving"))


def sign_in(email: str, slug: str) -> dict[str, Any]:
    """Sign in over the API and return the answer's body."""
    body = {"email": email, "password": PASSWORD}
    result: dict[str, Any] = APIClient().post("/api/v1/auth/login", body, HTTP_HOST=f"{slug}.localhost").json()
    return result


def ask(token: str, slug: str, path: str = "/api/v1/projects") -> Any:
    """Ask a tenant's API and return the answer."""
    return APIClient().get(path, HTTP_HOST=f"{slug}.localhost", HTTP_AUTHORIZATION=f"Bearer {token}")


def checksums(schema_name: str) -> dict[str, str]:
    """A checksum of each table of a schema, over its rows in one order, and where its sequences are."""
    with as_owner():
        tables.write_plainly()
        found = {"sequences": json.dumps([vars(each) for each in tables.sequences_of(schema_name)])}
        for table in tables.tables_of(schema_name):
            rows = b"".join(sorted(b"".join(tables.read(schema_name, table)).splitlines(keepends=True)))
            found[table.name] = hashlib.sha256(rows).hexdigest()
    return found


def query(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    """Rows, as the owner sees them."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall()) if cursor.description else []


def remains(tenant: Tenant) -> dict[str, int]:
    """What is left of a tenant anywhere: how many rows that name it, schemas and roles, by where they are."""
    found = {}
    columns = query(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND"
        " data_type = 'uuid' AND table_name <> 'tenant_lifecycle_tombstone'"
    )
    for table, column in columns:
        statement = sql.SQL("SELECT count(*) FROM {} WHERE {} = {}").format(
            sql.Identifier(table), sql.Identifier(column), sql.Literal(tenant.pk)
        )
        found[f"{table}.{column}"] = query(statement.as_string())[0][0]
    found["schema"] = query("SELECT count(*) FROM pg_namespace WHERE nspname = %s", tenant.schema_name)[0][0]
    found["role"] = query("SELECT count(*) FROM pg_roles WHERE rolname = %s", tenant.schema_name)[0][0]
    return {place: count for place, count in found.items() if count}


def kill_at_random(call: str, *, within: int) -> bool:
    """Run `call` in a process that kills itself before one of the owner's statements, or in the middle of a file, at
    random; tell whether it got as far as that.

    Args:
        within: how many statements the call takes, or a few more.
    """
    done = run_script(
        f"""
        import os, signal
        from django.db import connections
        from tenants.lifecycle.export_file import Reader
        left = {secrets.randbelow(within)}
        def one_less(execute, *arguments):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return execute(*arguments)
        read = Reader.read
        Reader.read = lambda self, name: (one_less(lambda block: block, block) for block in read(self, name))
        connections["owner"].execute_wrappers.append(one_less)
        {call}
        """
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    _until_gone()
    return done.returncode != 0


def run_script(code: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process of its own, on the test database."""
    beginning = """
        import django; django.setup()
        from pathlib import Path
        from uuid import UUID
        from tenants.lifecycle import deletion, exporting, replacing, restoring
    """
    environment = os.environ | {
        **committed.urls(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    code = textwrap.dedent(beginning) + textwrap.dedent(code)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)


def _until_gone() -> None:
    """Wait until the server has noticed that its client is dead, and has undone what it was doing."""
    deadline = time.monotonic() + 10
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND xact_start IS NOT NULL AND backend_type = 'client backend'"
    )
    while query(statement) != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
