"""The life of a tenant begins here."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from tenants.context.ownership import as_owner, current_alias, knows_owner
from tenants.lifecycle import pool, schemas, template
from tenants.lifecycle.errors import NoSpare
from tenants.lifecycle.models import Spare
from tenants.lifecycle.signals import spare_claimed
from tenants.registry import names
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.wall.roles import OWNER


@dataclass
class _Place:
    """Where the tenant of a ``provisioning`` block goes: a spare schema, or none yet."""

    schema_name: str | None
    is_taken: bool = False


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


@contextmanager
def provisioning() -> Iterator[None]:
    """Be in one transaction in which one tenant can be provisioned: the app's, if the pool has a spare (which goes back
    if it rolls back), else the owner's. Inside another such block, in that one's.

    Whoever does more than that in the same transaction (holds a person, adds a member) puts all of it in this block.

    Raises:
        NoSpare: there is none, and this process does not know how to log in as the owner.
    """
    if _place.get() is not None:
        yield
        return
    if current_alias() == OWNER:
        with as_owner(), _placed(pool.claim()):
            yield
        return
    with transaction.atomic():
        spare = pool.claim()
        if spare is not None:
            with _placed(spare):
                yield
            return
    if not knows_owner():
        spare_claimed.send_robust(sender=Spare)  # whoever can refills the pool
        raise NoSpare
    with as_owner(), _placed(None):
        yield


def provision(*, name: str, slug: str, created_by: UUID | None = None) -> Tenant:
    """Create a tenant, ready to use, in one transaction (see ``provisioning``): registry rows, and a spare schema or
    one that is made from the template, with its role and grants.

    Postgres' DDL is transactional, so a crash halfway leaves nothing behind, and whatever fails takes the registry rows
    with it.

    Args:
        created_by: the person who creates it for themselves.

    Raises:
        ValidationError: the slug is malformed or reserved.
        SlugTaken: another tenant has the slug.
        TemplateMismatch: the schema came out as something else than the template.
    """
    with provisioning():
        spare = _take()
        schema_name = spare or names.generate_schema_name()
        tenant = registry.register_tenant(name=name, slug=slug, schema_name=schema_name, created_by=created_by)
        if spare is None:
            schemas.create_from(template.hold_current(), schema_name=schema_name)
    return tenant


@contextmanager
def _placed(spare: str | None) -> Iterator[None]:
    token = _place.set(_Place(spare))
    try:
        yield
    finally:
        _place.reset(token)


def _take() -> str | None:
    place = _place.get()
    if place is None or place.is_taken:
        raise RuntimeError("One block provisions one tenant.")
    place.is_taken = True
    return place.schema_name
