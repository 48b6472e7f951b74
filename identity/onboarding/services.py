"""Tenants that people create for themselves."""

from uuid import UUID

from django.conf import settings

from identity.accounts import services as accounts
from identity.members import services as members
from identity.onboarding.errors import TooManyTenants
from permissions.roles import Role
from tenants.lifecycle import services as lifecycle
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant


def create_own_tenant(*, user_id: UUID, name: str, slug: str) -> Tenant:
    """Create a tenant whose owner is the person who asks, ready to use, in one transaction.

    Raises:
        User.DoesNotExist: there is no such active account.
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has it.
        TooManyTenants: they have created as many as one may; held however many requests there are at once.
    """
    with lifecycle.provisioning():
        accounts.hold_account(user_id=user_id)
        if registry.created_by(user_id).count() >= settings.OWN_TENANTS_LIMIT:
            raise TooManyTenants
        tenant = lifecycle.provision(name=name, slug=slug, created_by=user_id)
        members.add_member(tenant_id=tenant.pk, user_id=user_id, role=Role.OWNER, reason="created")
    return tenant
