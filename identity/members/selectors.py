"""Reading memberships."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from psycopg import sql

from identity.members.models import BarredAddress, Membership, MembershipStatus, digests_of
from identity.roles import selectors as roles
from identity.roles.models import CustomRole
from permissions.roles import Role
from permissions.standing import Standing
from tenants.context.statements import TENANT, Columns, fetch_one, table
from tenants.registry.models import Tenant, TenantStatus

_MEMBER = Columns(
    Membership, "member", ("id", "tenant_id", "user_id", "role", "custom_role_id", "status", "version", "last_used_at")
)
_CUSTOM_ROLE = Columns(CustomRole, "custom", ("id", "tenant_id", "name", "scope"))

# For statements that read an active membership beside other things: with ``read_active``, what it takes.
ACTIVE_COLUMNS = sql.SQL(", ").join([_MEMBER.selected, TENANT.selected, _CUSTOM_ROLE.selected])
ACTIVE_TABLES = sql.SQL(
    "{members} member JOIN {tenants} tenant ON tenant.id = member.tenant_id"
    " LEFT JOIN {custom_roles} custom ON custom.id = member.custom_role_id"
).format(members=table(Membership), tenants=table(Tenant), custom_roles=table(CustomRole))
ACTIVE = sql.SQL("member.status = {active}").format(active=sql.Literal(MembershipStatus.ACTIVE.value))


def _select(which: sql.Composable) -> str:
    """Compose the statement that reads one person's active membership: that one which `which` is true of."""
    statement = sql.SQL("SELECT {columns} FROM {tables} WHERE member.user_id = %s AND {active} AND {which}")
    return statement.format(columns=ACTIVE_COLUMNS, tables=ACTIVE_TABLES, active=ACTIVE, which=which).as_string()


_IN_TENANT = _select(sql.SQL("member.tenant_id = %s"))
_BY_SLUG = _select(sql.SQL("tenant.slug = %s"))
_DEFAULT = _select(
    sql.SQL(
        "tenant.status = {open} ORDER BY member.last_used_at DESC NULLS LAST, member.joined_at DESC, member.id LIMIT 1"
    ).format(open=sql.Literal(TenantStatus.ACTIVE.value))
)


def members_of(tenant_id: UUID | None) -> QuerySet[Membership]:
    """Return the members of one tenant, with their accounts; outside any tenant there are none."""
    if tenant_id is None:
        return Membership.objects.none()
    return with_person(Membership.objects.filter(tenant_id=tenant_id))


def with_person(memberships: QuerySet[Membership]) -> QuerySet[Membership]:
    """Return memberships with what a tenant may know of each person: inside it, other columns are refused."""
    own = (field.attname for field in Membership._meta.concrete_fields)
    return memberships.select_related("user", "custom_role").only(
        *own, "user__email", "user__name", "custom_role__name", "custom_role__scope"
    )


def memberships_of(user_id: UUID, *, only_tenant_id: UUID | None = None) -> QuerySet[Membership]:
    """Return every membership of one person, with its tenant: last used first, then the newest.

    Args:
        only_tenant_id: of this tenant alone.
    """
    rows = Membership.objects.filter(user_id=user_id).select_related("tenant", "custom_role")
    if only_tenant_id is not None:
        rows = rows.filter(tenant_id=only_tenant_id)
    return rows.order_by(F("last_used_at").desc(nulls_last=True), "-joined_at", "id")


def membership(*, user_id: UUID, tenant_id: UUID) -> Membership | None:
    """Return a person's active membership of one tenant, whatever the tenant's own status."""
    return _active(_IN_TENANT, user_id, tenant_id)


def membership_by_slug(*, user_id: UUID, slug: str) -> Membership | None:
    """Return a person's active membership of the tenant with this slug."""
    return _active(_BY_SLUG, user_id, slug)


def default_membership(user_id: UUID) -> Membership | None:
    """Return the membership that signing in without naming a tenant leads to: the last used, else the newest."""
    return _active(_DEFAULT, user_id)


def read_active(values: Iterator[Any]) -> Membership | None:
    """Return the membership of a row's next values, with its tenant and its role; see ``ACTIVE_COLUMNS``."""
    member, tenant, custom_role = _MEMBER.take(values), TENANT.take(values), _CUSTOM_ROLE.take(values)
    if member is not None and tenant is not None:
        member.tenant, member.custom_role = tenant, custom_role
    return member


def _active(statement: str, *parameters: Any) -> Membership | None:
    row = fetch_one(statement, *parameters)
    return read_active(iter(row)) if row is not None else None


def has_role(memberships: QuerySet[Membership], *, tenant_id: UUID, name: str) -> QuerySet[Membership]:
    """Narrow memberships to those with a role.

    Raises:
        ValidationError: the tenant has no such role.
    """
    return memberships.filter(role=roles.role_by_name(tenant_id=tenant_id, name=name).name)


def active_members(tenant_id: UUID) -> QuerySet[Membership]:
    """Return the memberships that take a seat."""
    return Membership.objects.filter(tenant_id=tenant_id, status=MembershipStatus.ACTIVE)


def owners_of(tenant_id: UUID) -> QuerySet[Membership]:
    """Return the memberships of a tenant's active owners."""
    return active_members(tenant_id).filter(role=Role.OWNER)


def is_member(*, tenant_id: UUID, email: str) -> bool:
    """Tell whether the account of a (normalized) address is in a tenant, active or suspended."""
    return Membership.objects.filter(tenant_id=tenant_id, user__email=email).exists()


def is_barred(*, tenant_id: UUID, email: str) -> bool:
    """Tell whether the owner of a (normalized) address was thrown out of a tenant and was not invited since."""
    return BarredAddress.objects.filter(tenant_id=tenant_id, digest__in=digests_of(email)).exists()


def addresses_of_owners(tenant_id: UUID) -> list[str]:
    """Return the addresses of a tenant's active owners."""
    owners = Membership.objects.filter(tenant_id=tenant_id, role=Role.OWNER, status=MembershipStatus.ACTIVE)
    return list(owners.filter(user__is_active=True).order_by("user__email").values_list("user__email", flat=True))


def sole_ownerships(user_id: UUID) -> QuerySet[Membership]:
    """Return the memberships by which a person is the only active owner of a tenant, with the tenants."""
    owners = Membership.objects.filter(role=Role.OWNER, status=MembershipStatus.ACTIVE)
    others = owners.filter(tenant=OuterRef("tenant")).exclude(user_id=user_id)
    return owners.filter(user_id=user_id).filter(~Exists(others)).select_related("tenant").order_by("tenant__slug")


def standing_of(*, tenant_id: UUID, user_id: UUID) -> Standing | None:
    """Return what a person may do in a tenant now; None when they are no active member, or their account is closed."""
    rows = Membership.objects.filter(tenant_id=tenant_id, user_id=user_id, status=MembershipStatus.ACTIVE)
    member = rows.filter(user__is_active=True).select_related("custom_role").first()
    return member.tenant_role.standing if member else None


def name_of(*, tenant_id: UUID, user_id: UUID) -> str:
    """Return what a member is called; empty when they have no name, or are none."""
    names = Membership.objects.filter(tenant_id=tenant_id, user_id=user_id).values_list("user__name", flat=True)
    return names.first() or ""
