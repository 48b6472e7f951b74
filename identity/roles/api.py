"""``/api/v1/roles`` and ``/api/v1/scopes``."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.roles import selectors, services
from identity.roles.models import NAME_LENGTH, validate_name
from identity.roles.selectors import TenantRole
from permissions import callers, policy, scopes
from permissions.policy import Grant
from permissions.principals import Kind
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer

_SCOPES = 100
_EXAMPLE = OpenApiExample(
    "For the bookkeeper",
    value={"name": "bookkeeper", "description": "Reads projects.", "scopes": ["members:read", "projects:read"]},
    request_only=True,
)


class RoleSerializer(StrictSerializer):
    """A role: a built-in one, or one that the tenant composed."""

    id = serializers.UUIDField(read_only=True, allow_null=True, help_text="Null for a built-in role.")
    name = serializers.CharField(max_length=NAME_LENGTH, validators=[validate_name])
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=64),
        max_length=_SCOPES,
        help_text="What it lets one do in the tenant. What everybody may do for themselves comes with every role.",
    )
    is_built_in = serializers.BooleanField(read_only=True)


class ScopeSerializer(serializers.Serializer[Any]):
    """A scope, in words."""

    scope = serializers.CharField()
    description = serializers.CharField()
    built_in_roles = serializers.SerializerMethodField(help_text="Built-in roles that hold it.")
    kinds = serializers.SerializerMethodField(help_text="Kinds of caller whose token may ever hold it.")
    is_grantable = serializers.SerializerMethodField(help_text="A tenant may compose roles of it.")
    is_held = serializers.SerializerMethodField(help_text="Your own token holds it.")

    def get_built_in_roles(self, grant: Grant) -> list[str]:
        return sorted(str(role) for role in grant.roles)

    def get_kinds(self, grant: Grant) -> list[str]:
        return sorted(str(kind) for kind in grant.kinds)

    def get_is_grantable(self, grant: Grant) -> bool:
        return grant.scope in policy.grantable()

    def get_is_held(self, grant: Grant) -> bool:
        return scopes.holds(callers.principal_of(self.context["request"]).scopes, grant.scope)


class RoleViewSet(viewsets.ViewSet):
    """The tenant's roles."""

    scopes = {
        "list": Scope.ROLES_READ,
        "retrieve": Scope.ROLES_READ,
        "create": Scope.ROLES_WRITE,
        "partial_update": Scope.ROLES_WRITE,
        "destroy": Scope.ROLES_WRITE,
    }

    @extend_schema(operation_id="roles_list", summary="List roles", responses=RoleSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every role that a member can have: the built-in ones, then those that the tenant composed."""
        return Response(RoleSerializer(selectors.roles_of(callers.tenant_id(request)), many=True).data)

    @extend_schema(operation_id="roles_retrieve", summary="See a role", responses=RoleSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One of the roles that the tenant composed."""
        role = selectors.custom_role(tenant_id=callers.tenant_id(request), role_id=pk)
        return Response(RoleSerializer(TenantRole(role.name, role)).data)

    @extend_schema(
        operation_id="roles_create",
        summary="Compose a role",
        request=RoleSerializer,
        responses={201: RoleSerializer},
        examples=[_EXAMPLE],
    )
    def create(self, request: Request) -> Response:
        """Compose a role of scopes that you hold yourself (`scope_not_held`). It has the rank of a member: nobody gets
        above an admin by it.
        """
        serializer = RoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = {"description": "", **serializer.validated_data}
        role = services.create_role(
            tenant_id=callers.tenant_id(request), held=callers.principal_of(request).scopes, **values
        )
        return Response(RoleSerializer(TenantRole(role.name, role)).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="roles_partial_update", summary="Change a role", request=RoleSerializer, responses=RoleSerializer
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename a role, or change its scopes. Whoever has it is refused from their next request on; refreshing gives
        a token with what the role holds now.

        You have to hold all that it has and shall have (`scope_not_held`).
        """
        serializer = RoleSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        role = services.change_role(
            tenant_id=callers.tenant_id(request),
            role_id=pk,
            held=callers.principal_of(request).scopes,
            changes=serializer.validated_data,
        )
        return Response(RoleSerializer(TenantRole(role.name, role)).data)

    @extend_schema(
        operation_id="roles_destroy",
        summary="Delete a role",
        parameters=[
            OpenApiParameter(
                "reassign_to", str, description="Name of the role that its members, invitations and domains get."
            )
        ],
        responses={204: None},
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a role. Members, pending invitations and domains that have it get the role named in `reassign_to`;
        without one the answer is 409 `role_in_use`.
        """
        services.delete_role(
            tenant_id=callers.tenant_id(request),
            role_id=pk,
            reassign_to=request.query_params.get("reassign_to"),
            held=callers.principal_of(request).scopes,
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class ScopesView(APIView):
    """What there is to hold."""

    scopes = {"GET": Scope.ROLES_READ}

    @extend_schema(operation_id="scopes_list", summary="List scopes", responses=ScopeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Each scope of the tenant API in words, with the built-in roles that hold it, and whether you do."""
        grants = [grant for grant in policy.table().values() if Kind.OPERATOR not in grant.kinds]
        return Response(ScopeSerializer(grants, many=True, context={"request": request}).data)
