"""Mail domains that tenants say are theirs, and proofs of it."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from identity.domains.names import record_name
from identity.roles.models import CustomRole
from identity.roles.selectors import TenantRole
from permissions.roles import Role
from tenants.registry.models import Tenant
from tenants.wall.openings import THIS_TENANT, opened

_VALUE = "tenantry-verification="
_BUILT_IN = [Role.MEMBER.value, Role.VIEWER.value]  # those that may come with a domain


def generate_challenge() -> str:
    """Return what only whoever holds the claim, and the domain's DNS, can know beforehand (192 random bits)."""
    return secrets.token_urlsafe(24)


def _in_claim_lifetime() -> datetime:
    return timezone.now() + settings.DOMAIN_CLAIM_LIFETIME


# What a claim has to begin with, to be proved (again): wherever its tenant is restored, the domain may be another's.
UNPROVED: dict[str, Callable[[], Any]] = {
    "challenge": generate_challenge,
    "expires_at": _in_claim_lifetime,
    "proved_at": lambda: None,
    "checked_at": lambda: None,
    "lapsed_at": lambda: None,
}


class ClaimStatus(models.TextChoices):
    PENDING = "pending"
    PROVED = "proved"
    LAPSED = "lapsed"


@dataclass(frozen=True)
class Record:
    """A DNS record as an administrator publishes it."""

    name: str
    value: str
    type: str = "TXT"


_COLUMNS = [
    "id", "tenant_id", "domain", "challenge", "auto_join", "join_role", "custom_role_id", "created_at", "expires_at",
    "proved_at", "checked_at", "lapsed_at",
]  # fmt: skip


@opened(
    rows=f"tenant_id = {THIS_TENANT}",
    select=_COLUMNS,
    insert=_COLUMNS,
    update=["auto_join", "join_role", "custom_role_id", "expires_at", "proved_at", "checked_at", "lapsed_at"],
    delete=True,
)
class DomainClaim(models.Model):
    """That a domain is a tenant's, said by the tenant, and proved by a record in the domain's DNS.

    Of all proofs of one domain, no two hold at the same time: Postgres sees to it (the constraint in ``migrations``).
    So a proof that has lapsed is in nobody's way, whether anybody has noted its end or not.

    Attributes:
        domain: in lower case and ASCII; see ``names.normalize_domain``.
        challenge: what the record has to say. It is public as soon as it is in the DNS, and no credential.
        auto_join: whoever proves for the first time that an address at the domain is theirs becomes a member.
        join_role, custom_role: as what; see ``identity.members.models.Membership``.
        expires_at: until when it can be proved; from then on, until when the proof holds.
        proved_at: since when the proof has held without a gap.
        checked_at: when the record was last looked for.
        lapsed_at: when it was noted that its time is over.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="domain_claims")
    domain = models.CharField(max_length=253)
    challenge = models.CharField(max_length=64, default=generate_challenge)
    auto_join = models.BooleanField(default=False)
    join_role = models.CharField(max_length=32, default=Role.MEMBER.value)
    custom_role = models.ForeignKey(CustomRole, on_delete=models.RESTRICT, null=True, related_name="domain_claims")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    proved_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    lapsed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "domain"], name="domains_claim_once"),
            models.CheckConstraint(
                condition=models.Q(custom_role=None, join_role__in=_BUILT_IN)
                | (models.Q(custom_role__isnull=False) & ~models.Q(join_role__in=[role.value for role in Role])),
                name="domains_claim_role",
            ),
        ]
        indexes = [
            models.Index(fields=["domain"]),
            models.Index(
                fields=["lapsed_at"], condition=models.Q(lapsed_at__isnull=False), name="domains_lapsed_at_idx"
            ),  # for pruning
        ]

    def __str__(self) -> str:
        return self.domain

    @property
    def status(self) -> ClaimStatus:
        """What it is now; one whose time is over says so, whether that was noted or not."""
        if self.expires_at <= timezone.now():
            return ClaimStatus.LAPSED
        return ClaimStatus.PENDING if self.proved_at is None else ClaimStatus.PROVED

    @property
    def record(self) -> Record:
        """The record that proves it."""
        return Record(record_name(self.domain), _VALUE + self.challenge)

    @property
    def tenant_role(self) -> TenantRole:
        """The role that comes with it, and what that holds."""
        return TenantRole(self.join_role, self.custom_role)
