"""Which tenants exist and which hosts name them."""

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

from tenants.registry import names, plans
from tenants.registry.branding import validate_branding
from tenants.registry.locales import LOCALE_LENGTH, TIME_ZONE_LENGTH, validate_locale, validate_time_zone
from tenants.wall.openings import THIS_TENANT, opened


class TenantStatus(models.TextChoices):
    """Where in its life a tenant is; see ``states.TRANSITIONS``. A tenant that was deleted has no row."""

    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ARCHIVED = "archived"
    DELETING = "deleting"
    FAILED = "failed"


class SupportPolicy(models.TextChoices):
    """What platform staff may do inside the tenant, and whether they have to ask."""

    NEVER = "never"
    ASK = "ask"  # an owner approves each time
    READ = "read"  # they read without asking, and ask to write
    WRITE = "write"


TENANT_SETTINGS = ["name", "locale", "time_zone", "branding", "shows_addresses"]  # what its admins change
TENANT_LIMITS = ["plan", "seat_limit", "request_limit", "client_limit"]  # what the platform's staff change
TENANT_COLUMNS = [
    "id", "slug", "schema_name", "status", "created_by", "created_at", "updated_at", "archived_at", "delete_at",
    "support_policy", "sign_in_policy",
    *TENANT_LIMITS, *TENANT_SETTINGS,
]  # fmt: skip


@opened(
    rows="schema_name = current_user",
    select=TENANT_COLUMNS,
    update=[*TENANT_SETTINGS, "support_policy", "sign_in_policy", "updated_at"],
)
class Tenant(TenantMixin):  # type: ignore[misc]  # django-tenants has no types
    """A customer: one schema, found by a slug that may change, by a schema name that never does.

    Attributes:
        branding: how the tenant looks to its members; see ``branding.validate_branding``.
        shows_addresses: every member sees the others' e-mail addresses, whatever their role.
        support_policy: what its owners let platform staff do inside.
        sign_in_policy: what it asks of its members' sign-ins; see ``sign_in_policy.SignInPolicy``.
        plan: see ``plans``; empty for the default one.
        seat_limit, request_limit, client_limit: where it has other limits than its plan.
        created_by: the person who created it for themselves; null when the platform's staff did.
        archived_at: when it was archived; null unless it is.
        delete_at: when it is going to be deleted; null unless that was decided.
    """

    # The schema is created and dropped by tenants.lifecycle, never by saving or deleting this row.
    auto_create_schema = False
    auto_drop_schema = False

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.CharField(max_length=names.SLUG_LENGTH, unique=True, validators=[names.validate_slug])
    schema_name = models.CharField(max_length=63, unique=True, default=names.generate_schema_name, editable=False)
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=16, choices=TenantStatus, default=TenantStatus.ACTIVE)
    locale = models.CharField(max_length=LOCALE_LENGTH, default="en", validators=[validate_locale])
    time_zone = models.CharField(max_length=TIME_ZONE_LENGTH, default="UTC", validators=[validate_time_zone])
    branding = models.JSONField(default=dict, blank=True, validators=[validate_branding])
    shows_addresses = models.BooleanField(default=False)
    support_policy = models.CharField(max_length=8, choices=SupportPolicy, default=SupportPolicy.READ)
    sign_in_policy = models.JSONField(default=dict, blank=True, editable=False)
    plan = models.CharField(max_length=plans.PLAN_LENGTH, default="", blank=True)
    seat_limit = models.PositiveIntegerField(null=True, blank=True)
    request_limit = models.PositiveIntegerField(null=True, blank=True)
    client_limit = models.PositiveIntegerField(null=True, blank=True)
    created_by = models.UUIDField(null=True, editable=False, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    delete_at = models.DateTimeField(null=True, editable=False, db_index=True)

    class Meta:
        constraints = [
            # What names.generate_schema_name makes, held by the database: never `public`, never user input.
            models.CheckConstraint(
                condition=models.Q(schema_name__regex=r"^t_[a-z2-7]{16}$"), name="registry_tenant_schema_name"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def __enter__(self) -> NoReturn:
        """Refuse django-tenants' ``with tenant:``: it keeps the previous tenant in a list shared by all threads."""
        raise TypeError("Use tenants.context.enter(); `with tenant:` is not thread-safe.")

    def __exit__(self, *exc_info: object) -> None:
        raise NotImplementedError

    def activate(self) -> NoReturn:
        """Refuse django-tenants' switch that nothing undoes."""
        raise TypeError("Use tenants.context.enter().")


@opened(rows=f"tenant_id = {THIS_TENANT}", select=["id", "tenant_id", "domain", "is_primary", "created_at"])
class Domain(DomainMixin):  # type: ignore[misc]  # django-tenants has no types
    """A host name that leads to one tenant."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    domain = models.CharField(max_length=253, unique=True, validators=[names.validate_domain])
    created_at = models.DateTimeField(auto_now_add=True)

    def clean(self) -> None:
        """Refuse a host of the platform's own: requests for it never get as far as a tenant."""
        if self.domain in {*settings.API_HOSTS, settings.OPERATOR_HOST}:
            raise ValidationError(
                {"domain": ValidationError("This host is the platform's own.", code="reserved_domain")}
            )

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.full_clean(exclude=["tenant"], validate_unique=False)
        super().save(*args, **kwargs)
