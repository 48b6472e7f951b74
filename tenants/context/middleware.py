"""A tenant context as long as the request that entered it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import cast
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from tenants.context.entry import Entry, TenantRef, as_person, enter
from tenants.context.guards import UNGUARDED, Guard

_ATTRIBUTE = "_tenant_context"
_IS_INSIDE = "_is_inside"
_ENTERED = "_entered_tenant"


class TenantContextMiddleware:
    """End the tenant context that authentication entered: commit after a success, roll back after any refusal.

    Rendering happens inside it, and a commit that fails still becomes an error response instead of a broken promise. A
    streamed response is made inside it too: there it ends with the stream, and is rolled back if the client goes away.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with ExitStack() as stack:
            setattr(request, _ATTRIBUTE, stack)
            response = self.get_response(request)
            is_inside = getattr(request, _IS_INSIDE, False)
            if response.status_code >= 400 and is_inside:
                transaction.set_rollback(True)
            if isinstance(response, StreamingHttpResponse) and not response.is_async and is_inside:
                content = cast("Iterable[bytes]", response.streaming_content)
                response.streaming_content = _inside(stack.pop_all(), content)
            return response


def _inside(context: ExitStack, content: Iterable[bytes]) -> Iterator[bytes]:
    with context:
        yield from content


def enter_for_request(request: HttpRequest, tenant_id: UUID, *, guard: Guard = UNGUARDED) -> Entry:
    """Enter a tenant until the end of `request`.

    Raises:
        NoSuchTenant, AlreadyInTenant: as ``enter``.
    """
    stack: ExitStack = getattr(request, _ATTRIBUTE)
    entry = stack.enter_context(enter(tenant_id, guard=guard))
    setattr(request, _ENTERED, entry.tenant)
    setattr(request, _IS_INSIDE, True)
    return entry


def leave_for_request(request: HttpRequest) -> None:
    """Leave again what was entered for `request`, which found on the way in that it may not be there."""
    stack: ExitStack = getattr(request, _ATTRIBUTE)
    stack.close()
    setattr(request, _ENTERED, None)
    setattr(request, _IS_INSIDE, False)


def entered_tenant(request: HttpRequest) -> TenantRef | None:
    """Return the tenant that `request` has entered, also after it was left again; None if it has entered none."""
    return getattr(request, _ENTERED, None)


def be_person_for_request(request: HttpRequest, person_id: UUID) -> None:
    """Be a person, in no tenant, until the end of `request`; see ``as_person``."""
    stack: ExitStack = getattr(request, _ATTRIBUTE)
    stack.enter_context(as_person(person_id))
    setattr(request, _IS_INSIDE, True)
