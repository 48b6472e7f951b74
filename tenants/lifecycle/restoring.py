"""Restoring a tenant from a file: beside whatever is here, as a tenant of its own, or in place of its present data.

Either is one transaction of the owner's, however long it takes: until its commit nobody sees anything of it, and
killed it has never been. Each checksum is compared as the bytes go by; one that differs takes all of it back.

Beside, everything of the tenant comes back, and nothing that opened it before: tokens, links, invitations and clients'
secrets of the former tenant are void. In place, only the data is replaced: members, roles, clients, hosts and the audit
trail go on as they are, because a restore must not undo a revocation.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction
from django.utils.dateparse import parse_datetime

from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner
from tenants.lifecycle import locks, rows, tables, trail
from tenants.lifecycle.belongings import Person, exported, people
from tenants.lifecycle.errors import BrokenExport, NotRestorable, OtherTenant
from tenants.lifecycle.export_file import Reader
from tenants.lifecycle.exporting import PEOPLE, SCHEMA, TRAIL, rows_part, server_version
from tenants.lifecycle.fingerprints import fingerprints
from tenants.lifecycle.progress import Progress, no_progress
from tenants.lifecycle.replacing import put_in_place
from tenants.lifecycle.rows import Ids
from tenants.lifecycle.structure import Structure, build, migrate_forward
from tenants.lifecycle.tables import SequenceState, Table
from tenants.registry import names
from tenants.registry.errors import SlugTaken
from tenants.registry.models import TENANT_LIMITS, TENANT_SETTINGS, Domain, Tenant, TenantStatus
from tenants.registry.sign_in_policy import SignInPolicy
from tenants.registry.signals import hosts_changed
from tenants.wall.roles import OWNER

# Classes of SQLSTATE that are not the file's fault: the server's resources, its administrator, a lock.
_NOT_THE_FILES = frozenset({"08", "40", "53", "55", "57", "58", "XX"})


def restore_tenant(
    *,
    path: Path,
    slug: str | None = None,
    name: str | None = None,
    foreign: bool = False,
    progress: Progress = no_progress,
) -> Tenant:
    """Make a tenant of a file. Its ids are those of the file, unless they are taken here; then it has others,
    everywhere.

    Args:
        slug, name: those of the file unless given.
        foreign: believe a file that this platform did not seal; see ``export_file``.

    Raises:
        BrokenExport, ForeignExport: as ``Reader.open``.
        NotRestorable: it does not fit what is here; the message says how.
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it, or the host that comes with it.
    """
    with Reader.open(path, foreign=foreign) as reader, _told(foreign=foreign), as_owner():
        manifest = reader.manifest
        former = UUID(manifest["tenant"]["id"])
        ids = Ids((former, uuid4() if Tenant.objects.filter(pk=former).exists() else former))
        schema_name = names.generate_schema_name()
        _bring_in(reader, schema_name, progress)
        progress("members and settings", 0, 1)
        ids.people = people().settle(Person(**_plain(line)) for line in reader.lines(PEOPLE))
        tenant = _register(manifest["tenant"], slug, name, schema_name, ids)
        _take_hosts(tenant, manifest["hosts"])
        for belonging in exported():
            rows.insert(belonging, reader.lines(rows_part(belonging)), ids)
        with tables.without_triggers(schema_name):
            tables.replace_ids(schema_name, ids.all())
        trail.restore(manifest["chain"], reader.lines(TRAIL), ids)
        changes = {"tenant_id": [former, tenant.pk], "seal": [None, manifest["seal"]]}
        _record("tenant.restored_from_file", tenant, changes)
        progress("members and settings", 1, 1)
    return tenant


def restore_in_place(*, path: Path, tenant_id: UUID, foreign: bool = False, progress: Progress = no_progress) -> Tenant:
    """Put the data of a file in the place of a tenant's present data, which is kept until ``confirm_restore``, or comes
    back by ``undo_restore``. It serves meanwhile; a request that is inside at the moment of the change is refused.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        OtherTenant: the file is of another tenant.
        BrokenExport, ForeignExport, NotRestorable: as ``restore_tenant``.
    """
    with Reader.open(path, foreign=foreign) as reader, _told(foreign=foreign), as_owner():
        if reader.manifest["tenant"]["id"] != str(tenant_id):
            raise OtherTenant
        schema_name = names.generate_schema_name()
        _bring_in(reader, schema_name, progress)
        tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        put_in_place(tenant, schema_name)
        changes = {"seal": [None, reader.manifest["seal"]], "exported_at": [None, reader.manifest["created_at"]]}
        _record("tenant.data_restored", tenant, changes)
    return tenant


def _bring_in(reader: Reader, schema_name: str, progress: Progress) -> None:
    """Make a schema of what the file holds, and bring it to this version of the code.

    Raises:
        BrokenExport, NotRestorable: as ``restore_tenant``.
    """
    manifest = reader.manifest
    locks.hold(locks.of_schema(schema_name))
    tables.write_plainly()
    script = b"".join(reader.read(SCHEMA)).decode()  # to its end, so it is what its checksum says
    fingerprint = manifest["fingerprint"]
    build(Structure(script, fingerprint, schema_name=manifest["schema_names"]), schema_name=schema_name)
    _fill(reader, schema_name, progress)
    is_comparable = (manifest["product"], manifest["server"]) == (settings.PRODUCT_VERSION, server_version())
    if is_comparable and fingerprints([schema_name])[schema_name] != fingerprint:
        raise NotRestorable("The tables came out as others than those that were exported.")
    migrate_forward(schema_name)


def _fill(reader: Reader, schema_name: str, progress: Progress) -> None:
    described = reader.manifest["tables"]
    tables.empty(schema_name)
    with tables.without_foreign_keys(schema_name), tables.without_triggers(schema_name):
        for number, table in enumerate(described):
            progress(f"table {table['name']}", number, len(described))
            written = tables.fill(schema_name, Table(table["name"], table["columns"]), reader.read(table["part"]))
            if written != table["rows"]:
                raise BrokenExport(f"{table['name']} has {written} rows where {table['rows']} were exported.")
    tables.set_sequences(schema_name, [SequenceState(**sequence) for sequence in reader.manifest["sequences"]])
    progress("tables", len(described), len(described))


def _register(described: dict[str, Any], slug: str | None, name: str | None, schema_name: str, ids: Ids) -> Tenant:
    """Write the registry row; the first event of its trail is the restored one's."""
    own = {setting: described[setting] for setting in TENANT_SETTINGS}
    later = ("support_policy", *TENANT_LIMITS)  # what files of earlier versions do not have
    own |= {setting: described[setting] for setting in later if setting in described}
    own["sign_in_policy"] = _sign_in_policy(described.get("sign_in_policy", {}))
    creator = described["created_by"]
    tenant = Tenant(
        pk=ids.tenant[1],
        schema_name=schema_name,
        status=TenantStatus.SUSPENDED if described["status"] == TenantStatus.SUSPENDED else TenantStatus.ACTIVE,
        created_by=creator and UUID(ids.of(creator)),
        **own | {"slug": slug or described["slug"], "name": name or described["name"]},
    )
    names.validate_slug(tenant.slug)
    tenant.clean_fields()
    host = f"{tenant.slug}.{settings.BASE_DOMAIN}"
    if Tenant.objects.filter(slug=tenant.slug).exists() or Domain.objects.filter(domain=host).exists():
        raise SlugTaken
    try:
        Tenant.objects.bulk_create([tenant])
    except IntegrityError:  # somebody else took it at this moment
        raise SlugTaken from None
    Tenant.objects.filter(pk=tenant.pk).update(created_at=parse_datetime(described["created_at"]))
    Domain.objects.create(tenant=tenant, domain=host, is_primary=True)
    return tenant


def _sign_in_policy(described: Any) -> dict[str, Any]:
    try:
        return SignInPolicy.from_json(described).cleaned().elsewhere().to_json()
    except (AttributeError, TypeError, ValueError) as error:
        raise BrokenExport("The tenant's sign-in policy cannot be read.") from error


def _take_hosts(tenant: Tenant, hosts: list[dict[str, Any]]) -> None:
    """Give the tenant back its own hosts, as far as nobody has them; not those that came with a slug."""
    for host in hosts:
        domain = host["domain"]
        is_own = not domain.endswith(f".{settings.BASE_DOMAIN}")
        if is_own and not Domain.objects.filter(domain=domain).exists():
            Domain.objects.create(tenant=tenant, domain=domain, is_primary=False)
    transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=OWNER)


@contextmanager
def _told(*, foreign: bool) -> Iterator[None]:
    """Say what does not fit without quoting it: what a file holds is its tenant's."""
    try:
        yield
    except (DatabaseError, psycopg.Error) as error:
        cause: Any = error if isinstance(error, psycopg.Error) else error.__cause__
        diagnosis = getattr(cause, "diag", None)
        if diagnosis is None or diagnosis.sqlstate is None or diagnosis.sqlstate[:2] in _NOT_THE_FILES:
            raise
        place = (diagnosis.table_name, diagnosis.column_name, diagnosis.constraint_name)
        what = " ".join([type(cause).__name__, *filter(None, place)])
        raise NotRestorable(f"What is in this file does not fit what is here: {what}.") from error
    except (KeyError, TypeError, ValueError) as error:
        if not foreign:
            raise
        raise BrokenExport(f"Its {type(error).__name__} shows that it was not written as an export.") from error


def _plain(line: bytes) -> dict[str, Any]:
    person: dict[str, Any] = json.loads(line)
    return person | {"id": UUID(person["id"])}


def _record(action: str, tenant: Tenant, changes: dict[str, list[Any]]) -> None:
    record(action=action, tenant_id=tenant.pk, targets=[Target("tenant", tenant.pk, tenant.name)], changes=changes)
