"""Exporting a tenant: all that is its own, in one file, as it was at one moment, while it serves.

Each table is a stream of Postgres' COPY, all in one snapshot of the owner's. ``pg_dump -n`` would look at the catalogue
of every other tenant first; a COPY does not.

What is not in the file: anything that proves who somebody is (hashes of passwords, secrets of clients and of links),
sign-ins, mail that waits, and support accesses. Large objects are not, either: they belong to no schema.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from psycopg import sql

from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner, routed_to_owner
from tenants.lifecycle import rows, tables, trail
from tenants.lifecycle.belongings import Belonging, exported, people
from tenants.lifecycle.errors import NotExportable
from tenants.lifecycle.export_file import Writer, as_lines
from tenants.lifecycle.progress import Progress, no_progress
from tenants.lifecycle.structure import structure_of
from tenants.registry.models import TENANT_LIMITS, TENANT_SETTINGS, Tenant, TenantStatus
from tenants.registry.sign_in_policy import SignInPolicy
from tenants.wall.roles import OWNER

SCHEMA, PEOPLE, TRAIL = "schema.sql", "people.jsonl", "trail.jsonl"
_WITHOUT_TABLES = frozenset({TenantStatus.REQUESTED, TenantStatus.PROVISIONING, TenantStatus.DELETING})
_ATTEMPTS = 5


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        size: of the file, in bytes.
        seal: what is noted in the audit trail: the file is the one if its manifest has this seal.
    """

    path: Path
    size: int
    rows: int
    seal: str


def export_tenant(*, tenant_id: UUID, path: Path, progress: Progress = no_progress) -> Exported:
    """Write a tenant into one file, which is there when it is whole. Killed, it leaves ``<name>.partial``, which the
    next attempt writes over.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        NotExportable: it has no tables yet, or none any more; or they were changed again and again meanwhile.
        NoStructure: its tables are no template's, and there is no ``pg_dump`` for this server.
    """
    with Writer.open(path) as writer, snapshot_of(tenant_id) as tenant:
        manifest = _write(writer, tenant, progress)
    total = sum(part["rows"] for part in manifest["parts"] if part["name"] != SCHEMA)
    size = path.stat().st_size
    with as_owner():
        record(
            action="tenant.exported",
            tenant_id=tenant_id,
            targets=[Target("tenant", tenant_id, tenant.name)],
            changes={"file": [None, path.name], "rows": [None, total], "seal": [None, manifest["seal"]]},
        )
    return Exported(path, size, total, manifest["seal"])


def table_part(number: int) -> str:
    """Return the name of a table's part; tables may be called anything."""
    return f"tables/{number:05}.copy"


def rows_part(belonging: Belonging) -> str:
    """Return the name of the part with rows of one shared model."""
    return f"shared/{belonging.label}.jsonl"


@contextmanager
def snapshot_of(tenant_id: UUID, *, read_only: bool = True) -> Iterator[Tenant]:
    """Begin a transaction of the owner's that sees one moment, and keeps the tenant's structure as it is then."""
    kind = "READ ONLY" if read_only else "READ WRITE"
    with routed_to_owner():
        for _ in range(_ATTEMPTS):
            schema_name = _tenant(tenant_id).schema_name
            expected = tables.tables_of(schema_name)
            with transaction.atomic(using=OWNER):
                tables.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {}").format(sql.SQL(kind)))
                tables.write_plainly()
                # Locked before the first row is read, which is when the moment is: nobody has changed a table since.
                tables.lock_for_reading(schema_name, expected)
                tenant = _tenant(tenant_id)
                if tenant.schema_name == schema_name and tables.tables_of(schema_name) == expected:
                    yield tenant
                    return
    raise NotExportable("Its tables are being changed: try again in a moment.")


def _tenant(tenant_id: UUID) -> Tenant:
    tenant: Tenant = Tenant.objects.get(pk=tenant_id)
    if tenant.status in _WITHOUT_TABLES:
        raise NotExportable(f"This tenant is {tenant.status}: it has no tables to export.")
    return tenant


def _write(writer: Writer, tenant: Tenant, progress: Progress) -> dict[str, Any]:
    structure = structure_of(tenant.schema_name)
    writer.write(SCHEMA, [structure.script.encode()])
    described = _write_tables(writer, tenant.schema_name, progress)
    sequences = tables.sequences_of(tenant.schema_name)
    accounts: set[UUID] = {tenant.created_by} if tenant.created_by else set()
    for belonging in exported():
        progress(belonging.label, 0, 1)
        writer.write(rows_part(belonging), as_lines(_noting(belonging, tenant.pk, accounts)))
    described_people = people().describe(sorted(accounts))
    writer.write(PEOPLE, as_lines(json.dumps(asdict(person), default=str) for person in described_people))
    writer.write(TRAIL, as_lines(trail.events_of(tenant.pk)))
    return writer.finish(
        {
            "product": settings.PRODUCT_VERSION,
            "created_at": timezone.now().isoformat(),
            "server": server_version(),
            "template_version": structure.version,
            "fingerprint": structure.fingerprint,
            "schema_names": structure.schema_name,
            "tenant": _described(tenant),
            "hosts": list(tenant.domains.order_by("domain").values("domain", "is_primary")),
            "tables": described,
            "sequences": [asdict(sequence) for sequence in sequences],
            "chain": trail.ends_of(tenant.pk),
        }
    )


def _write_tables(writer: Writer, schema_name: str, progress: Progress) -> list[dict[str, Any]]:
    """Write every table and return what the manifest says of them."""
    described = []
    own = tables.tables_of(schema_name)
    for number, table in enumerate(own, start=1):
        progress(f"table {table.name}", number - 1, len(own))
        part = writer.write(table_part(number), tables.read(schema_name, table))
        described.append({"name": table.name, "columns": list(table.columns), "part": part.name, "rows": part.rows})
    progress("tables", len(own), len(own))
    return described


def _noting(belonging: Belonging, tenant_id: UUID, accounts: set[UUID]) -> Iterator[str]:
    """Yield the rows of one shared model, and note which accounts they refer to."""
    for text in rows.rows_of(belonging, tenant_id):
        accounts.update(rows.accounts_in(belonging, json.loads(text)))
        yield text


def server_version() -> int:
    """Return the major version of the PostgreSQL here."""
    return int(tables.execute(sql.SQL("SELECT current_setting('server_version_num')::int / 10000"))[0][0])


def _described(tenant: Tenant) -> dict[str, Any]:
    names = ["id", "slug", "schema_name", "status", "created_by", "support_policy", *TENANT_LIMITS, *TENANT_SETTINGS]
    plain = {name: getattr(tenant, name) for name in names}
    plain["sign_in_policy"] = SignInPolicy.of(tenant).elsewhere().to_json()
    ids = {name: plain[name] and str(plain[name]) for name in ("id", "created_by")}
    return plain | ids | {"created_at": tenant.created_at.isoformat()}
