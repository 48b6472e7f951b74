"""Changing the registry: every function is one transaction."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction
from django.utils import timezone
from psycopg.errors import UniqueViolation

from tenants.audit.services import Target, record
from tenants.registry import states
from tenants.registry.errors import SlugTaken
from tenants.registry.models import (
    TENANT_COLUMNS,
    TENANT_LIMITS,
    TENANT_SETTINGS,
    Domain,
    SupportPolicy,
    Tenant,
    TenantStatus,
)
from tenants.registry.names import validate_slug
from tenants.registry.plans import Limits, limits_of
from tenants.registry.sign_in_policy import SignInPolicy
from tenants.registry.signals import hosts_changed, sign_in_policy_changing


def register_tenant(
    *,
    name: str,
    slug: str,
    schema_name: str,
    status: TenantStatus = TenantStatus.ACTIVE,
    created_by: UUID | None = None,
) -> Tenant:
    """Write the registry rows of a new tenant: itself and its first domain, ``<slug>.<BASE_DOMAIN>``. A refusal undoes
    the caller's transaction, too.

    Its schema is another matter: see ``tenants.lifecycle.services.provision``.

    Args:
        schema_name: a generated one, which no other tenant has or had.
        created_by: the person who creates it for themselves.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug or the domain.
    """
    validate_slug(slug)
    alias = router.db_for_write(Tenant)
    tenant = Tenant(name=name, slug=slug, schema_name=schema_name, status=status, created_by=created_by)
    first = Domain(tenant=tenant, domain=f"{slug}.{settings.BASE_DOMAIN}", is_primary=True)
    first.clean()
    with transaction.atomic(using=alias, savepoint=False):
        try:  # nobody is asked first: of several at once, the constraints decide as well
            # Not by save(): django-tenants' asks who else has the schema name, and which domain is the primary one.
            Tenant.objects.bulk_create([tenant])
            Domain.objects.bulk_create([first])
        except IntegrityError as error:
            if isinstance(error.__cause__, UniqueViolation):
                raise SlugTaken from error
            raise
        transaction.on_commit(partial(hosts_changed.send, sender=Tenant), using=alias)
        record(action="tenant.created", tenant_id=tenant.pk, targets=[target_of(tenant)], person=created_by)
    return tenant


@transaction.atomic
def change_settings(*, tenant_id: UUID, changes: dict[str, Any]) -> Tenant:
    """Change what a tenant's admins may: any of ``TENANT_SETTINGS``.

    Raises:
        ValidationError: a value does not fit.
    """
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    before = {name: getattr(tenant, name) for name in TENANT_SETTINGS}
    for name in TENANT_SETTINGS:
        setattr(tenant, name, changes.get(name, before[name]))
    tenant.clean_fields(exclude=set(TENANT_COLUMNS) - set(TENANT_SETTINGS))
    changed = {name: [before[name], getattr(tenant, name)] for name in before if getattr(tenant, name) != before[name]}
    if changed:
        tenant.save(update_fields=[*changed, "updated_at"])
        record(action="tenant.changed", tenant_id=tenant_id, targets=[target_of(tenant)], changes=changed)
    return tenant


@transaction.atomic
def set_support_policy(*, tenant_id: UUID, policy: SupportPolicy) -> None:
    """Say what platform staff may do inside a tenant; saying it twice changes nothing. What is under way there is the
    business of ``operators.support``.
    """
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).only("name", "support_policy").get(pk=tenant_id)
    before, tenant.support_policy = tenant.support_policy, policy
    if before != policy:
        tenant.save(update_fields=["support_policy", "updated_at"])
        changes = {"policy": [str(before), str(policy)]}
        record(
            action="tenant.support_policy_changed", tenant_id=tenant_id, targets=[target_of(tenant)], changes=changes
        )


@transaction.atomic
def set_sign_in_policy(*, tenant_id: UUID, policy: SignInPolicy) -> SignInPolicy:
    """Say what a tenant asks of its members' sign-ins; saying it twice changes nothing. Returns it in its one form.

    Whether the caller could still come in is the business of ``identity.tokens.policy``.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: a value does not fit.
        APIException: whatever listens to ``sign_in_policy_changing`` refuses it.
    """
    policy = policy.cleaned()
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).only("name", "sign_in_policy").get(pk=tenant_id)
    before = SignInPolicy.of(tenant)
    if before != policy:
        sign_in_policy_changing.send(sender=None, tenant_id=tenant_id, before=before, policy=policy)
        old, tenant.sign_in_policy = tenant.sign_in_policy, policy.to_json()
        tenant.save(update_fields=["sign_in_policy", "updated_at"])
        names = sorted({*old, *tenant.sign_in_policy})
        pairs = {name: [old.get(name), tenant.sign_in_policy.get(name)] for name in names}
        changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        record(
            action="tenant.sign_in_policy_changed", tenant_id=tenant_id, targets=[target_of(tenant)], changes=changes
        )
    return policy


def hold_tenant(*, tenant_id: UUID) -> Limits:
    """Keep a tenant's row from whoever else would hold it, until the transaction ends: what looks at several things of
    a tenant takes turns, and asks for this first of all. Returns its limits, so that what is counted against one is
    exact.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
    """
    return limits_of(Tenant.objects.select_for_update(no_key=True).only("id", *TENANT_LIMITS).get(pk=tenant_id))


@transaction.atomic
def set_limits(*, tenant_id: UUID, changes: Mapping[str, Any]) -> Tenant:
    """Give a tenant another plan, or limits of its own. Nobody is removed where it uses more than it may from now on.

    Args:
        changes: any of ``TENANT_LIMITS``.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        ValidationError: there is no such plan.
    """
    if changes.get("plan", "") not in {"", *settings.PLANS}:
        raise ValidationError({"plan": ValidationError("There is no such plan.", code="unknown_plan")})
    tenant: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)
    before = {name: getattr(tenant, name) for name in changes}
    changed = {name: [before[name], value] for name, value in changes.items() if before[name] != value}
    if changed:
        for name, (_, value) in changed.items():
            setattr(tenant, name, value)
        tenant.save(update_fields=[*changed, "updated_at"])
        record(action="tenant.limits_changed", tenant_id=tenant_id, targets=[target_of(tenant)], changes=changed)
    return tenant


@transaction.atomic
def set_tenant_status(*, tenant_id: UUID, status: TenantStatus) -> Tenant:
    """Bring a tenant into another state of its life; doing it twice changes nothing.

    It holds from the next request on: entering a tenant reads this row.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        WrongState: there is no way from its present state (see ``states.TRANSITIONS``).
    """
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    if tenant.status != status:
        action = states.transition(tenant.status, status)
        before, tenant.status = tenant.status, status
        if status in states.OPEN_STATES:
            tenant.archived_at = tenant.delete_at = None
        elif status == TenantStatus.ARCHIVED:
            tenant.archived_at = timezone.now()
        tenant.save(update_fields=["status", "archived_at", "delete_at", "updated_at"])
        changes = {"status": [str(before), str(status)]}
        record(action=action, tenant_id=tenant_id, targets=[target_of(tenant)], changes=changes)
    return tenant


def target_of(tenant: Tenant) -> Target:
    """Return a tenant as the audit trail names it."""
    return Target("tenant", tenant.pk, tenant.name)
