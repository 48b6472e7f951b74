"""Reading domain claims."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from identity.domains.models import ClaimStatus, DomainClaim
from identity.roles.selectors import TenantRole
from permissions.roles import Role
from permissions.standing import Standing
from tenants.registry.models import TenantStatus


def claims_of(tenant_id: UUID | None) -> QuerySet[DomainClaim]:
    """Return a tenant's claims, whatever became of them; outside any tenant there are none."""
    return DomainClaim.objects.none() if tenant_id is None else DomainClaim.objects.filter(tenant_id=tenant_id)


def with_status(claims: QuerySet[DomainClaim], status: str) -> QuerySet[DomainClaim]:
    """Narrow claims to those whose status is this one now."""
    is_over = Q(expires_at__lte=timezone.now())
    if status == ClaimStatus.LAPSED:
        return claims.filter(is_over)
    return claims.filter(~is_over, proved_at__isnull=status == ClaimStatus.PENDING)


def joined_from(email: str) -> QuerySet[DomainClaim]:
    """Return the claim by which whoever proves this (normalized) address becomes a member, if there is one.

    The address is at the domain itself, not below it. One whose domain is not ASCII is at none: where its mail goes
    depends on who sends it, as some names differ between IDNA 2003 and 2008.
    """
    claims = DomainClaim.objects.filter(domain=email.rpartition("@")[2], auto_join=True)
    return with_status(claims, ClaimStatus.PROVED).filter(tenant__status=TenantStatus.ACTIVE)


def proof_of(*, tenant_id: UUID, email: str) -> DomainClaim | None:
    """Return a tenant's own proof of the domain that a (normalized) address is at; see ``joined_from``."""
    claims = claims_of(tenant_id).filter(domain=email.rpartition("@")[2])
    return with_status(claims, ClaimStatus.PROVED).select_related("custom_role").first()


def proof_at(email: str) -> DomainClaim | None:
    """Return whichever active tenant's proof of the domain that a (normalized) address is at; see ``joined_from``."""
    claims = DomainClaim.objects.filter(domain=email.rpartition("@")[2], tenant__status=TenantStatus.ACTIVE)
    return with_status(claims, ClaimStatus.PROVED).first()


def due(*, within: timedelta) -> list[tuple[UUID, UUID]]:
    """Return tenant and id of every claim to look after, the most urgent first: those whose time is over, which nobody
    has noted, and proofs that lapse soon.
    """
    now = timezone.now()
    soon = Q(proved_at__isnull=False, expires_at__lte=now + within)
    claims = DomainClaim.objects.filter(Q(expires_at__lte=now) | soon, lapsed_at=None)
    return list(claims.order_by("expires_at", "id").values_list("tenant_id", "id"))


def is_fit(role: TenantRole) -> bool:
    """Tell whether a role may come with a domain: it holds no more than a built-in member."""
    most, wanted = Standing.built_in(Role.MEMBER), role.standing
    return wanted.rank <= most.rank and not wanted.missing_in(most.scopes)
