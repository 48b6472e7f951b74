"""Seeding the demo, through the same services as everybody else. Running it again adds what is missing and no more."""

from datetime import timedelta
from importlib.util import find_spec
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.demo_data import ACCOUNTS, OPERATOR_EMAIL, PASSWORD, PROJECTS, TENANTS
from identity.accounts import selectors as accounts
from identity.accounts import services as account_services
from identity.accounts.models import User
from identity.members import selectors as members
from identity.members import services as member_services
from operators import selectors as operators
from operators.staff import put_on_staff
from permissions.roles import OperatorRole, Role
from tenants.context.entry import enter
from tenants.lifecycle import pool
from tenants.lifecycle import services as lifecycle
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant


def seed() -> str:
    """Create what is missing and return it in words; an empty string when there was nothing to do. New tenants find a
    full pool.
    """
    made = _seed()
    pool.refill(target=settings.POOL_SIZE)
    return made


@transaction.atomic
def _seed() -> str:
    new_tenants = [slug for slug in TENANTS if registry.tenant_by_slug(slug) is None]
    for slug in new_tenants:
        lifecycle.provision(name=TENANTS[slug], slug=slug)
    for email, slug, role in ACCOUNTS:
        _place(_account(email), _tenant(slug), role)
    staff = _account(OPERATOR_EMAIL)
    if operators.active_operator(staff.pk) is None:
        put_on_staff(user_id=staff.pk, role=OperatorRole.ADMIN)
    if "examples.projects" in settings.TENANT_APPS and find_spec("examples.projects"):
        for slug in new_tenants:
            _projects(_tenant(slug).pk, slug)
    return ", ".join(new_tenants)


def _tenant(slug: str) -> Tenant:
    tenant = registry.tenant_by_slug(slug)
    assert tenant is not None  # noqa: S101 -- made above
    return tenant


def _account(email: str) -> User:
    name = email.partition("@")[0].title()
    return accounts.user_by_email(email) or account_services.create_user(email=email, password=PASSWORD, name=name)


def _place(user: User, tenant: Tenant, role: Role) -> None:
    if members.membership(user_id=user.pk, tenant_id=tenant.pk) is None:
        member_services.add_member(tenant_id=tenant.pk, user_id=user.pk, role=role)


def _projects(tenant_id: UUID, slug: str) -> None:
    from examples.projects.models import Project, Task

    owner = accounts.user_by_email(f"{Role.OWNER}@{slug}.test")
    assert owner is not None  # noqa: S101 -- made above
    today = timezone.localdate()
    with enter(tenant_id):
        for name, titles in PROJECTS[slug].items():
            project = Project.objects.create(name=name, created_by=owner.pk)
            for days, title in enumerate(titles, start=1):
                Task.objects.create(
                    project=project, title=title, created_by=owner.pk, due_on=today + timedelta(weeks=days)
                )
