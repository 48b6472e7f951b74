"""What the stock stack (django-tenants, simplejwt and DRF as their documentation says) gets wrong, and we do not.

Each test names the hazard; each would fail on that stack. S2 to S5 are in ``test_accounts_and_tokens.py``, S13 is in
``test_token_kinds.py``, S14 and S15 in ``test_forged_tokens.py``.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django_tenants.utils import schema_context, tenant_context

from examples.projects.models import Project
from identity.accounts.models import User
from tenants.context.entry import enter, maintain
from tenants.registry import names
from tenants.registry.models import Tenant
from tests import committed
from tests.committed import provisioned, schemas
from tests.conftest import API_HOST, GLOBEX, Call

ROOT = Path(__file__).parents[1]
TENANTS = "/operator/v1/tenants"


def test_s1_a_token_opens_no_other_tenant(call: Call, tokens: dict[str, Any]) -> None:
    """Stock: 200 as the other tenant's user with the same id. Ours: 403 there, and one's own rows everywhere else."""
    theirs = {row["id"] for row in call("globex_owner", "GET", "/api/v1/projects").json()["results"]}
    for path in ("/api/v1/projects", "/api/v1/members", "/api/v1/me", "/api/v1/tenant"):
        refused = call("acme_owner", "GET", path, host=GLOBEX)
        assert (refused.status_code, refused.json()["code"]) == (403, "tenant_mismatch")
    for endpoint, body in (
        ("refresh", {"refresh_token": tokens["acme_owner"]["refresh_token"]}),
        ("verify", {"token": tokens["acme_owner"]["access_token"]}),
    ):
        assert call("nobody", "POST", f"/api/v1/auth/{endpoint}", body, host=GLOBEX).status_code == 403
    seen = {row["id"] for row in call("acme_owner", "GET", "/api/v1/projects", host=API_HOST).json()["results"]}
    assert seen
    assert not seen & theirs


def test_s6_a_slug_used_again_leads_to_an_empty_tenant(unwrapped: None) -> None:
    """Stock: the new customer sees the old one's rows, because the schema is named after the slug."""
    with provisioned("phoenix") as first:
        with enter(first.pk):
            Project.objects.create(name="Of the old customer", created_by=first.pk)
        # The old schema stays behind on purpose: only its registry rows go.
        Tenant.objects.using("owner").filter(pk=first.pk).delete()
        with provisioned("phoenix") as second:
            assert second.schema_name != first.schema_name
            with enter(second.pk):
                assert not Project.objects.exists()


@pytest.mark.parametrize(
    "slug",
    [
        "public", "information_schema", "information-schema", "pg_catalog", "pg-toast", "www", "api", "admin", "a",
        "ab", "x" * 41, "Acme", "acmé", "\N{CYRILLIC SMALL LETTER A}cme", "a--b", "1acme", "-acme", "acme-", "xn--acme",
        "a.b", "a/b", "a b", "t_5tqhnfkcjadc3psp", 'a"; DROP SCHEMA public', "",
    ],
)  # fmt: skip
def test_s7_slugs_that_mean_something_else_are_refused(call: Call, slug: str) -> None:
    """Stock: ``public`` is a tenant like any other, and deleting it drops the platform."""
    before = schemas()
    response = call("operator", "POST", TENANTS, {"slug": slug, "name": "Probe"})
    assert response.status_code == 400
    assert {error["pointer"] for error in response.json()["errors"]} == {"#/slug"}
    assert schemas() == before


@pytest.mark.parametrize("slug", ["acme\n", " acme", "acme ", "ac\x00me"])
def test_s7_nothing_hides_at_the_ends_of_a_slug(slug: str) -> None:
    with pytest.raises(ValidationError):
        names.validate_slug(slug)


def test_s7_no_tenant_takes_a_host_of_the_platforms_own(call: Call, settings: Any) -> None:
    settings.API_HOSTS = {API_HOST, "backend.localhost"}
    response = call("operator", "POST", TENANTS, {"slug": "backend", "name": "Probe"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "reserved_domain")


@pytest.mark.parametrize("schema_name", ["public", "information_schema", "pg_catalog", "t_short", "acme"])
def test_s7_the_database_refuses_a_schema_name_that_was_not_generated(db: None, schema_name: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Tenant.objects.create(name="Probe", slug="probe", schema_name=schema_name)
    assert names.generate_schema_name() != names.generate_schema_name()


def test_s8_two_threads_in_two_tenants_do_not_meet(unwrapped: None) -> None:
    """Stock: ``with tenant:`` keeps the previous tenant in one list for all threads."""
    ids = dict(Tenant.objects.filter(slug__in=["acme", "globex"]).values_list("slug", "pk"))
    expected = {"acme": "Rocket skates", "globex": "Weather machine"}
    meeting = threading.Barrier(2, timeout=10)
    seen: dict[str, list[set[str]]] = {"acme": [], "globex": []}

    def work(slug: str) -> None:
        try:
            for _ in range(20):
                with enter(ids[slug]):
                    meeting.wait()
                    seen[slug].append(set(Project.objects.values_list("name", flat=True)))
                    meeting.wait()
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(slug,)) for slug in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for slug, rounds in seen.items():
        other = "globex" if slug == "acme" else "acme"
        assert len(rounds) == 20
        assert all(expected[slug] in names and expected[other] not in names for names in rounds)


def test_s8_the_switches_without_an_end_are_refused(db: None) -> None:
    tenant = Tenant.objects.get(slug="acme")
    for switch in (
        tenant.__enter__,
        tenant.activate,
        lambda: connection.set_tenant(tenant),
        lambda: connection.set_schema(tenant.schema_name),
        lambda: schema_context(tenant.schema_name).__enter__(),
        lambda: tenant_context(tenant).__enter__(),
    ):
        with pytest.raises(TypeError, match=r"tenants\.context"):
            switch()


def test_s10_a_killed_provisioning_leaves_nothing(unwrapped: None) -> None:
    """Stock: half a tenant, which saving again calls a success. Ours is one transaction, with DDL and all: here the
    process dies when all is made and nothing committed.
    """
    before, rows = schemas(), Tenant.objects.count()
    script = """
        import os, signal
        import django; django.setup()
        from tenants.lifecycle import schemas, services
        schemas.fingerprints = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        services.provision(name="Half", slug="half-made")
    """
    environment = os.environ | {
        **committed.urls(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (schemas(), Tenant.objects.count()) == (before, rows)
    with provisioned("half-made") as tenant, enter(tenant.pk):
        assert not Project.objects.exists()


def test_s11_one_tenant_that_cannot_migrate_stops_no_other(unwrapped: None) -> None:
    """Stock: every tenant after the bad one stays behind, and no report says which."""
    with provisioned("before-it") as before, provisioned("broken") as broken, provisioned("after-it") as after:
        for tenant in (before, broken, after):
            with maintain(tenant), connections["owner"].cursor() as cursor:
                cursor.execute("DELETE FROM django_migrations WHERE app = 'projects'")
                if tenant is not broken:
                    cursor.execute("DROP TABLE projects_task, projects_project")
        with pytest.raises(CommandError, match=broken.schema_name) as refused:
            call_command("migrate_schemas", tenant=True, verbosity=0)
        assert "1 tenant(s)" in str(refused.value)
        for tenant in (before, after):
            with enter(tenant.pk):
                assert not Project.objects.exists()


def test_s12_nesting_is_bounded(call: Call) -> None:
    """Stock: a body of brackets is a 500."""
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"[" * 100_000):
        response = call("acme_member", "POST", "/api/v1/projects", body)
        assert (response.status_code, response.json()["code"]) == (400, "too_deep")
    deepest = b'{"name":' + b"[" * 31 + b"]" * 31 + b"}"
    assert call("acme_member", "POST", "/api/v1/projects", deepest).json()["code"] == "validation_error"
    deeper = b'{"name":' + b"[" * 32 + b"]" * 32 + b"}"
    assert call("acme_member", "POST", "/api/v1/projects", deeper).json()["code"] == "too_deep"
    quoted = b'{"name": "' + b"[{" * 50 + b'", "description": "\\"' + b"[" * 50 + b'"}'
    assert call("acme_member", "POST", "/api/v1/projects", quoted).status_code == 201


def test_s16_passwords_are_hashed_with_owasps_parameters(db: None) -> None:
    """Stock: 100 MiB and eight lanes for each sign-in."""
    hashed = User.objects.get(email="owner@acme.test").password
    assert hashed.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
