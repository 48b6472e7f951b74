"""Cloning a live tenant as a sandbox: a tenant of its own, of which whoever asked for it is the owner."""

from uuid import UUID

from django.db import OperationalError
from psycopg import errors

from tenants.audit.services import Target, record
from tenants.context.ownership import as_owner
from tenants.lifecycle import rows, services, tables
from tenants.lifecycle.belongings import all_belongings, people
from tenants.lifecycle.exporting import snapshot_of
from tenants.lifecycle.progress import Progress, no_progress
from tenants.lifecycle.rows import Ids
from tenants.lifecycle.structure import build, migrate_forward, structure_of
from tenants.registry import names
from tenants.registry import services as registry
from tenants.registry.models import TENANT_LIMITS, TENANT_SETTINGS, Tenant
from tenants.registry.sign_in_policy import SignInPolicy

_ATTEMPTS = 5


def clone_tenant(
    *,
    source_id: UUID,
    slug: str,
    name: str,
    owner_id: UUID | None = None,
    with_data: bool = True,
    with_members: bool = False,
    progress: Progress = no_progress,
) -> Tenant:
    """Make a tenant like another one: its settings, its own roles and, as they are at one moment, its rows. The other
    one serves meanwhile. Clients, invitations, hosts and mail domains do not come along.

    Args:
        owner_id: the account that owns the sandbox; not needed where the members come along, owners and all.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        NotExportable, NoStructure: as ``export_tenant``.
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with snapshot_of(source_id, read_only=False) as source:
                tenant = _copy(source, slug, name, with_data=with_data, with_members=with_members, progress=progress)
                if owner_id is not None and not with_members:
                    people().make_owner(tenant_id=tenant.pk, user_id=owner_id)
                _record(tenant.pk, source, tenant, with_data=with_data, with_members=with_members)
            break
        except OperationalError as error:  # somebody claimed the same spare at this moment
            if not isinstance(error.__cause__, errors.SerializationFailure) or attempt == _ATTEMPTS:
                raise
    with as_owner():
        _record(source_id, source, tenant, with_data=with_data, with_members=with_members)
    return tenant


def _copy(source: Tenant, slug: str, name: str, *, with_data: bool, with_members: bool, progress: Progress) -> Tenant:
    tenant = _make_like(source, slug, name, with_data=with_data)
    ids = Ids((source.pk, tenant.pk))
    for belonging in all_belongings():
        if belonging.is_cloned or (with_members and belonging.is_cloned_with_members):
            rows.insert(belonging, list(rows.rows_of(belonging, source.pk)), ids)
    if with_data:
        _copy_tables(source.schema_name, tenant.schema_name, progress)
        with tables.without_triggers(tenant.schema_name):
            tables.replace_ids(tenant.schema_name, ids.all())
        migrate_forward(tenant.schema_name)
    kept = ["support_policy", *TENANT_LIMITS, *TENANT_SETTINGS]
    own = {setting: getattr(source, setting) for setting in kept if setting != "name"}
    own["sign_in_policy"] = SignInPolicy.of(source).elsewhere().to_json()
    Tenant.objects.filter(pk=tenant.pk).update(**own)
    tenant.refresh_from_db()
    return tenant


def _make_like(source: Tenant, slug: str, name: str, *, with_data: bool) -> Tenant:
    """Make a tenant whose tables take the other one's rows: of the template or, where those are others, like them."""
    structure = structure_of(source.schema_name) if with_data else None
    if structure is None or structure.is_current:
        return services.provision(name=name, slug=slug)
    schema_name = names.generate_schema_name()
    build(structure, schema_name=schema_name)
    return registry.register_tenant(name=name, slug=slug, schema_name=schema_name)


def _copy_tables(source: str, target: str, progress: Progress) -> None:
    own = tables.tables_of(source)
    tables.empty(target)
    with tables.without_foreign_keys(target), tables.without_triggers(target):
        for number, table in enumerate(own):
            progress(f"table {table.name}", number, len(own))
            tables.copy_rows(source, target, table)
    tables.set_sequences(target, tables.sequences_of(source))
    progress("tables", len(own), len(own))


def _record(trail: UUID, source: Tenant, tenant: Tenant, *, with_data: bool, with_members: bool) -> None:
    record(
        action="tenant.cloned",
        tenant_id=trail,
        targets=[Target("tenant", source.pk, source.name), Target("tenant", tenant.pk, tenant.name)],
        changes={"with_data": [None, with_data], "with_members": [None, with_members]},
    )
