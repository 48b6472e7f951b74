"""``/scim/v2``: people and groups, as a tenant's own directory provisions them (RFC 7643 and RFC 7644)."""

from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from scim2_models import Context, PatchOp

from identity.scim import filters, groups, resources, selectors, services
from identity.scim.errors import ScimRefusal
from identity.scim.protocol import ScimView, answer, base_of, query_of, read, shown
from identity.scim.resources import Group, User
from permissions import callers
from permissions.scopes import Scope

_DISCOVERY = {"GET": Scope.DIRECTORY_READ}
_COLLECTION = {"GET": Scope.DIRECTORY_READ, "POST": Scope.DIRECTORY_WRITE}
_ONE = {
    "GET": Scope.DIRECTORY_READ,
    "PUT": Scope.DIRECTORY_WRITE,
    "PATCH": Scope.DIRECTORY_WRITE,
    "DELETE": Scope.DIRECTORY_WRITE,
}


class UsersView(ScimView):
    """The users of the tenant: its members."""

    scopes = _COLLECTION
    outside_tenant = frozenset({"POST"})

    def get(self, request: Request) -> Response:
        """List users: those that `filter` matches, from `startIndex` on."""
        rows = selectors.users_of(callers.tenant_id(request))
        if "filter" in request.query_params:
            rows = filters.members_matching(rows, request.query_params["filter"])
        return _page(request, User, rows, resources.user_resource)

    def post(self, request: Request) -> Response:
        """Make somebody a member. They sign in by a password that they choose by a mailed link."""
        wanted = read(User, request, Context.RESOURCE_CREATION_REQUEST)
        user = services.create_user(tenant_id=callers.tenant_id(request), wanted=wanted, base=base_of(request))
        return answer(user, request, status=status.HTTP_201_CREATED)


class UserView(ScimView):
    """One user."""

    scopes = _ONE

    def get(self, request: Request, pk: UUID) -> Response:
        """See a user."""
        member = selectors.users_of(callers.tenant_id(request)).get(pk=pk)
        return answer(resources.user_resource(member, base_of(request)), request)

    def put(self, request: Request, pk: UUID) -> Response:
        """Describe a user anew."""
        wanted = read(User, request, Context.RESOURCE_REPLACEMENT_REQUEST)
        return answer(services.replace_user(user_id=pk, wanted=wanted, **_conditions(request)), request)

    def patch(self, request: Request, pk: UUID) -> Response:
        """Change single attributes. `active: false` suspends the member, whose next request is refused."""
        patch = read(PatchOp[User], request, Context.RESOURCE_PATCH_REQUEST)
        return answer(services.patch_user(user_id=pk, patch=patch, **_conditions(request)), request)

    def delete(self, request: Request, pk: UUID) -> Response:
        """Remove a member; their account stays theirs."""
        services.delete_user(user_id=pk, **_conditions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class GroupsView(ScimView):
    """The groups of the tenant's directory."""

    scopes = _COLLECTION

    def get(self, request: Request) -> Response:
        """List groups: those that `filter` matches, from `startIndex` on."""
        rows = selectors.groups_of(callers.tenant_id(request))
        if "filter" in request.query_params:
            rows = filters.groups_matching(rows, request.query_params["filter"])
        return _page(request, Group, rows, resources.group_resource)

    def post(self, request: Request) -> Response:
        """Make a group, which gives no role until an administrator says which."""
        wanted = read(Group, request, Context.RESOURCE_CREATION_REQUEST)
        group = groups.create_group(tenant_id=callers.tenant_id(request), wanted=wanted, base=base_of(request))
        return answer(group, request, status=status.HTTP_201_CREATED)


class GroupView(ScimView):
    """One group."""

    scopes = _ONE

    def get(self, request: Request, pk: UUID) -> Response:
        """See a group."""
        group = selectors.groups_of(callers.tenant_id(request)).get(pk=pk)
        return answer(resources.group_resource(group, base_of(request)), request)

    def put(self, request: Request, pk: UUID) -> Response:
        """Describe a group anew."""
        wanted = read(Group, request, Context.RESOURCE_REPLACEMENT_REQUEST)
        return answer(groups.replace_group(group_id=pk, wanted=wanted, **_conditions(request)), request)

    def patch(self, request: Request, pk: UUID) -> Response:
        """Change a group's name or members."""
        patch = read(PatchOp[Group], request, Context.RESOURCE_PATCH_REQUEST)
        return answer(groups.patch_group(group_id=pk, patch=patch, **_conditions(request)), request)

    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a group; its members lose the role that it gave them."""
        groups.delete_group(group_id=pk, **_conditions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ServiceProviderConfigView(ScimView):
    """What of SCIM is answered here."""

    scopes = _DISCOVERY

    def get(self, request: Request) -> Response:
        """See it (RFC 7643 section 5)."""
        return Response(resources.service_provider_config(base_of(request)).model_dump())


class ResourceTypesView(ScimView):
    """The types of resources, all or one of them."""

    scopes = _DISCOVERY

    def get(self, request: Request, name: str | None = None) -> Response:
        """See them (RFC 7643 section 6)."""
        return _discovered(request, resources.resource_types(base_of(request)), name)


class SchemasView(ScimView):
    """The schemas, all or one of them."""

    scopes = _DISCOVERY

    def get(self, request: Request, name: str | None = None) -> Response:
        """See them (RFC 7643 section 7)."""
        return _discovered(request, resources.schemas(base_of(request)), name)


class NotSupportedView(ScimView):
    """What SCIM has and is not done here: several changes in one request, searches by POST, and oneself."""

    scopes = {"GET": Scope.DIRECTORY_READ, "POST": Scope.DIRECTORY_WRITE}

    def get(self, request: Request) -> Response:
        """Answer 501 (RFC 7644 section 3.12)."""
        raise ScimRefusal("This is not supported here.", status_code=status.HTTP_501_NOT_IMPLEMENTED)

    def post(self, request: Request) -> Response:
        """Answer 501."""
        return self.get(request)


class NothingView(ScimView):
    """Every other path below ``/scim/v2``, so that its 404 speaks SCIM too."""

    scopes = _DISCOVERY

    def get(self, request: Request, rest: str) -> Response:
        """Answer 404."""
        raise NotFound


def _conditions(request: Request) -> dict[str, Any]:
    """Return what every change of one resource is told."""
    return {
        "tenant_id": callers.tenant_id(request),
        "if_match": request.headers.get("If-Match"),
        "base": base_of(request),
    }


def _page(request: Request, model: type[Any], rows: QuerySet[Any], resource_of: Any) -> Response:
    query = query_of(model, request)
    start = max(query.start_index or 1, 1)
    count = resources.PAGE if query.count is None else min(query.count, resources.PAGE)
    total = rows.count()
    page: list[Model] = list(rows[start - 1 : start - 1 + count]) if count else []
    found = (shown(resource_of(row, base_of(request)), query) for row in page)
    return Response(resources.listing(found, total=total, start=start))


def _discovered(request: Request, found: dict[str, Any], name: str | None) -> Response:
    """Answer one of what the service says of itself, or all. A filter is refused (RFC 7644 section 4)."""
    if "filter" in request.query_params:
        raise ScimRefusal("These are not filtered.", status_code=status.HTTP_403_FORBIDDEN)
    if name is None:
        rows = [each.model_dump() for each in found.values()]
        return Response(resources.listing(rows, total=len(rows), start=1))
    if name not in found:
        raise NotFound
    return Response(found[name].model_dump())
