"""Reading memberships."""

from uuid import UUID

from django.db.models import F, QuerySet

from identity.members.models import Membership, MembershipStatus
from tenants.registry.models import TenantStatus


def members_of(tenant_id: UUID | None) -> QuerySet[Membership]:
    """Return the members of one tenant, with their accounts; outside any tenant there are none."""
    if tenant_id is None:
        return Membership.objects.none()
    return with_person(Membership.objects.filter(tenant_id=tenant_id))


def with_person(memberships: QuerySet[Membership]) -> QuerySet[Membership]:
    """Return memberships with what a tenant may know of each person: inside it, other columns are refused."""
    own = (field.attname for field in Membership._meta.concrete_fields)
    return memberships.select_related("user").only(*own, "user__email", "user__name")


def memberships_of(user_id: UUID) -> QuerySet[Membership]:
    """Return every membership of one person, with its tenant: last used first, then the newest."""
    return (
        Membership.objects.filter(user_id=user_id)
        .select_related("tenant")
        .order_by(F("last_used_at").desc(nulls_last=True), "-joined_at", "id")
    )


def membership(*, user_id: UUID, tenant_id: UUID) -> Membership | None:
    """Return a person's active membership of one tenant, whatever the tenant's own status."""
    return memberships_of(user_id).filter(tenant_id=tenant_id, status=MembershipStatus.ACTIVE).first()


def membership_by_slug(*, user_id: UUID, slug: str) -> Membership | None:
    """Return a person's active membership of the tenant with this slug."""
    return memberships_of(user_id).filter(tenant__slug=slug, status=MembershipStatus.ACTIVE).first()


def default_membership(user_id: UUID) -> Membership | None:
    """Return the membership that signing in without naming a tenant leads to: the last used, else the newest."""
    return memberships_of(user_id).filter(status=MembershipStatus.ACTIVE, tenant__status=TenantStatus.ACTIVE).first()
