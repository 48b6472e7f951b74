"""The runbook's backup of everything: dumped from one server and restored on another, it is the same, roles and all."""

import subprocess
from typing import Any

import psycopg

from config.embedded_postgres import _binaries
from tests.deployed import Deployment, deployment

ACME = "from tenants.lifecycle import services; services.provision(name='Acme', slug='acme')"
# Who may do what: on schemas, on tables and their columns, by row-level security, and who may become whom.
RIGHTS = r"""
    SELECT 'schema', nspname, '', nspacl::text FROM pg_namespace WHERE nspname !~ '^(pg_|information)'
    UNION ALL SELECT 'table', relnamespace::regnamespace::text, relname,
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner))::text
        FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information)'
    UNION ALL SELECT 'column', attrelid::regclass::text, attname, attacl::text FROM pg_attribute
        WHERE attacl IS NOT NULL AND attrelid::regclass::text !~ '^(pg_|information)'
    UNION ALL SELECT 'policy', tablename, policyname, concat(roles, cmd, qual, with_check) FROM pg_policies
    UNION ALL SELECT 'default', defaclnamespace::regnamespace::text, defaclobjtype::text, defaclacl::text
        FROM pg_default_acl
    UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text, concat(inherit_option, set_option)
        FROM pg_auth_members
    UNION ALL SELECT 'role', rolname, concat(rolcanlogin, rolinherit, rolsuper, rolcreaterole), rolconfig::text
        FROM pg_roles WHERE rolname !~ '^pg_'
"""
CONTENT = "SELECT count(*), max(encode(hash, 'hex')) FROM audit_auditevent"


def postgres(*command: str, **more: Any) -> str:
    program = str(_binaries() / command[0])
    result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=True, **more)
    return result.stdout


def read(deployed: Deployment, query: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(deployed.superuser_url) as connection:
        return set(connection.execute(query).fetchall())


def succeed(deployed: Deployment, *command: str) -> None:
    result = deployed.run("worker", *command, POOL_SIZE="0", REDIS_URL="redis://127.0.0.1:1/0")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_dump_is_restored_on_another_server() -> None:
    """Roles first, then the dump, then the last steps of the runbook: who may do what is as it was, the audit chains
    hold, and the keys can be read.
    """
    with deployment() as former:
        succeed(former, "migrate")
        succeed(former, "shell", "--command", ACME)
        roles = postgres("pg_dumpall", "--roles-only", "--no-role-passwords", "--dbname", former.superuser_url)
        dump = str(former.folder / "tenantry.dump")
        postgres("pg_dump", "--format", "custom", "--file", dump, former.superuser_url)
        rights, content = read(former, RIGHTS), read(former, CONTENT)
        assert any(name.startswith("t_") for kind, name, *_ in rights if kind == "role")
        with deployment(secret_key=(former.secrets / "secret_key").read_text()) as new:
            postgres("psql", "--no-psqlrc", "--quiet", new.superuser_url, input=roles)
            postgres("pg_restore", "--exit-on-error", "--dbname", new.superuser_url, dump)
            assert read(new, RIGHTS) == rights
            assert read(new, CONTENT) == content
            succeed(new, "migrate")
            succeed(new, "reconcile_tenants")
            succeed(new, "verify_audit")
            succeed(new, "check", "--deploy", "--tag", "database", "--database", "default", "--fail-level", "WARNING")
            assert read(new, RIGHTS) == rights
