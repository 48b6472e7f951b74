"""What the commands share: which tenant is meant, and how a refusal is told."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from rest_framework.exceptions import APIException

from tenants.lifecycle.errors import NoStructure
from tenants.registry import selectors
from tenants.registry.models import Tenant


def add_tenant_argument(parser: ArgumentParser, *, optional: bool = False) -> None:
    """Take a tenant on the command line."""
    parser.add_argument("tenant", nargs="?" if optional else None, help="The tenant's slug or id.")


def tenant_of(options: Mapping[str, Any]) -> Tenant:
    """Return the tenant that was named.

    Raises:
        CommandError: there is none.
    """
    return find(options["tenant"])


def find(named: str) -> Tenant:
    """Return the tenant with this slug or id.

    Raises:
        CommandError: there is none.
    """
    tenant = selectors.tenant_by_slug(named)
    if tenant is None:
        try:
            tenant = selectors.tenants().filter(pk=UUID(named)).first()
        except ValueError:
            tenant = None
    if tenant is None:
        raise CommandError(f"There is no tenant {named!r}.")
    return tenant


@contextmanager
def told() -> Iterator[None]:
    """Say in one sentence what was refused.

    Raises:
        CommandError: something was.
    """
    try:
        yield
    except APIException as error:
        raise CommandError(str(error.detail)) from error
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    except (NoStructure, OSError) as error:
        raise CommandError(str(error)) from error
