"""Who is calling, for views: typed where DRF's own attributes are not."""

from typing import cast
from uuid import UUID

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from permissions.principals import Principal


def principal_of(request: Request) -> Principal:
    """Return the request's principal; anonymous on a public endpoint."""
    return cast("Principal", request.user)


def caller_id(request: Request) -> UUID:
    """Return the id of the person, client or staff member who calls.

    Raises:
        NotAuthenticated: nobody known does. Behind a declared scope that cannot happen.
    """
    return _known(principal_of(request).id)


def tenant_id(request: Request) -> UUID:
    """Return the id of the tenant that the caller is in.

    Raises:
        NotAuthenticated: they are in none. Behind a declared tenant scope that cannot happen.
    """
    return _known(principal_of(request).tenant_id)


def _known(value: UUID | None) -> UUID:
    if value is None:
        raise NotAuthenticated
    return value
