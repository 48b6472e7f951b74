"""Comparing tenants' schemas with the template of their version."""

from collections.abc import Iterable, Sequence

from django.conf import settings

from tenants.context.ownership import as_owner, routed_to_owner
from tenants.fleet.models import DriftedTenant
from tenants.fleet.starting_points import Member, in_batches
from tenants.lifecycle import template
from tenants.lifecycle.fingerprints import fingerprints
from tenants.registry.models import Tenant, TenantStatus
from tenants.registry.services import set_tenant_status

_BATCH = 100


def known() -> list[str]:
    """Return the schemas that did not match when they were last compared."""
    with routed_to_owner():
        return list(DriftedTenant.objects.values_list("schema_name", flat=True))


def find(members: Iterable[Member], *, parallel: int = 1) -> list[Member]:
    """Return those whose schema is not what the newest migrations make."""
    every = list(members)
    names = [member.schema_name for member in every]
    found = dict(in_batches(_ask, names, size=_BATCH, parallel=parallel))
    with routed_to_owner():
        expected = template.ensure().fingerprint
    return [member for member in every if found.get(member.schema_name) != expected]


def record(compared: Iterable[Member], drifted: Sequence[Member]) -> None:
    """Keep the outcome. With ``REFUSE_DRIFTED_TENANTS`` a drifted tenant is suspended, and resumed when it matches
    again; one that somebody else suspended stays so.
    """
    names = {member.schema_name for member in drifted}
    with as_owner():
        before = {row.tenant_id: row for row in DriftedTenant.objects.all()}
        for member in compared:
            row = before.get(member.id)
            if member.schema_name in names:
                is_held = (row is not None and row.is_held) or _hold(member)
                DriftedTenant.objects.update_or_create(
                    tenant_id=member.id, defaults={"schema_name": member.schema_name, "is_held": is_held}
                )
            elif row is not None:
                if row.is_held:
                    _let_go(member)
                row.delete()
        DriftedTenant.objects.exclude(tenant_id__in=Tenant.objects.values("pk")).delete()


def _ask(schema_names: Sequence[str]) -> Iterable[tuple[str, str]]:
    return fingerprints(schema_names).items()


def _hold(member: Member) -> bool:
    if not settings.REFUSE_DRIFTED_TENANTS or member.status != TenantStatus.ACTIVE:
        return False
    set_tenant_status(tenant_id=member.id, status=TenantStatus.SUSPENDED)
    return True


def _let_go(member: Member) -> None:
    if Tenant.objects.get(pk=member.id).status == TenantStatus.SUSPENDED:
        set_tenant_status(tenant_id=member.id, status=TenantStatus.ACTIVE)
