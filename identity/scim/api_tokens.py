"""``/api/v1/scim-tokens`` and ``/api/v1/scim-groups``: what a tenant's administrators say about its directory."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.roles.models import NAME_LENGTH
from identity.scim import credentials, groups, selectors
from identity.scim.models import ScimGroup, ScimToken
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer


def _in_the_future(value: Any) -> None:
    if value <= timezone.now():
        raise serializers.ValidationError("This time has passed.", code="in_the_past")


class ScimTokenSerializer(StrictModelSerializer):
    """A SCIM token's description; the token itself is shown once, when it is made."""

    hint = serializers.CharField(read_only=True, help_text="Its last characters.")

    class Meta:
        model = ScimToken
        fields = ["id", "name", "hint", "expires_at", "created_by", "created_at", "last_used_at"]
        read_only_fields = ["id", "created_by", "created_at", "last_used_at"]
        extra_kwargs = {"expires_at": {"validators": [_in_the_future]}}


class NewScimTokenSerializer(ScimTokenSerializer):
    """A new SCIM token."""

    token = serializers.CharField(read_only=True, help_text="Keep it: it is shown this once.")

    class Meta(ScimTokenSerializer.Meta):
        fields = [*ScimTokenSerializer.Meta.fields, "token"]


class ScimGroupSerializer(StrictModelSerializer):
    """A group of the tenant's directory."""

    role = serializers.CharField(read_only=True, help_text="The role that its members get; empty for none.")

    class Meta:
        model = ScimGroup
        fields = ["id", "display_name", "external_id", "role", "created_at", "updated_at"]
        read_only_fields = fields


class MappedRoleSerializer(StrictSerializer):
    """Which role a group gives."""

    role = serializers.CharField(
        max_length=NAME_LENGTH, allow_null=True, help_text="Name of a role, but not the owner's; null for none."
    )


@extend_schema_view(list=extend_schema(summary="List SCIM tokens"))
class ScimTokenViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[ScimToken]):
    """The tokens by which the tenant's own directory (Okta, Entra ID and the like) provisions people at `/scim/v2`.
    They are good nowhere else.
    """

    scopes = {"list": Scope.SCIM_READ, "create": Scope.SCIM_WRITE, "destroy": Scope.SCIM_WRITE}
    recent_sign_in = {"create"}
    serializer_class = ScimTokenSerializer
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "name"]

    def get_queryset(self) -> QuerySet[ScimToken]:
        return selectors.tokens_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        summary="Create a SCIM token", request=NewScimTokenSerializer, responses={201: NewScimTokenSerializer}
    )
    def create(self, request: Request) -> Response:
        """Create a token, which is in this answer and in no other. At most two are live (`too_many_scim_tokens`), so
        that one can be replaced without a gap.

        Whoever has it adds, suspends and removes members at the domains that the tenant has proved. It changes no owner
        and makes none.
        """
        serializer = NewScimTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row, text = credentials.create_token(
            tenant_id=callers.tenant_id(request),
            name=serializer.validated_data["name"],
            by=callers.caller_id(request),
            expires_at=serializer.validated_data.get("expires_at"),
        )
        return Response({**ScimTokenSerializer(row).data, "token": text}, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Revoke a SCIM token")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete it. It is refused from its next request on."""
        credentials.revoke_token(tenant_id=callers.tenant_id(request), token_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(summary="List the directory's groups"),
    retrieve=extend_schema(summary="See a group of the directory"),
)
class ScimGroupViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ScimGroup]):
    """The groups that the tenant's directory has provisioned, and which role each of them gives."""

    scopes = {"list": Scope.SCIM_READ, "retrieve": Scope.SCIM_READ, "partial_update": Scope.SCIM_WRITE}
    recent_sign_in = {"partial_update"}
    serializer_class = ScimGroupSerializer
    search_fields = ["display_name"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "display_name"]

    def get_queryset(self) -> QuerySet[ScimGroup]:
        return selectors.groups_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(summary="Say which role a group gives", request=MappedRoleSerializer, responses=ScimGroupSerializer)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Say which role the group's members have, at once and for all who come. Of several groups the strongest role
        counts. Who is in no such group any more has the role of their address's domain, else a viewer's.

        You cannot give what you could not give one member (`outranked`, `scope_not_held`), and no group makes owners.
        """
        serializer = MappedRoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        group = groups.map_group(
            tenant_id=callers.tenant_id(request),
            group_id=pk,
            role=serializer.validated_data["role"],
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(ScimGroupSerializer(group).data)
