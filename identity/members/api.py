"""``/api/v1/members`` and ``/api/v1/me/tenants``."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from identity.members import selectors, services
from identity.members.models import ROLES, Membership
from permissions import callers
from permissions.roles import Role
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer


class MemberSerializer(StrictModelSerializer):
    """A member as the other members see them."""

    user_id = serializers.UUIDField(read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    role = serializers.ChoiceField(choices=ROLES)

    class Meta:
        model = Membership
        fields = ["id", "user_id", "email", "name", "role", "status", "joined_at"]
        read_only_fields = ["id", "status", "joined_at"]


class MyTenantSerializer(serializers.ModelSerializer[Membership]):
    """A tenant that the caller belongs to."""

    id = serializers.UUIDField(source="tenant.id")
    slug = serializers.CharField(source="tenant.slug")
    name = serializers.CharField(source="tenant.name")
    tenant_status = serializers.CharField(source="tenant.status", help_text="A suspended tenant cannot be entered.")

    class Meta:
        model = Membership
        fields = ["id", "slug", "name", "tenant_status", "role", "status", "joined_at"]
        read_only_fields = fields


class MemberFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    role = filters.ChoiceFilter(choices=ROLES)

    class Meta:
        model = Membership
        fields = ["role"]


@extend_schema_view(
    list=extend_schema(summary="List members"),
    retrieve=extend_schema(summary="See a member"),
)
class MemberViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Membership]):
    """The tenant's members."""

    scopes = {
        "list": Scope.MEMBERS_READ,
        "retrieve": Scope.MEMBERS_READ,
        "partial_update": Scope.MEMBERS_WRITE,
        "destroy": Scope.MEMBERS_WRITE,
    }
    serializer_class = MemberSerializer
    filterset_class = MemberFilter
    search_fields = ["user__email", "user__name"]
    ordering = ["-joined_at"]
    ordering_fields = ["joined_at", "role"]

    def get_queryset(self) -> QuerySet[Membership]:
        return selectors.members_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(summary="Change a member's role")
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Give a member another role, up to one's own.

        The member's tokens are refused from their next request on; refreshing gives one with the new role. The last
        owner stays owner (`last_owner`), and nobody changes a member who outranks them (`outranked`).
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        member = services.change_role(
            tenant_id=callers.tenant_id(request),
            membership_id=pk,
            role=Role(serializer.validated_data["role"]),
            by=callers.caller_id(request),
        )
        return Response(self.get_serializer(member).data)

    @extend_schema(summary="Remove a member")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove a member. Their tokens for this tenant are refused from their next request on."""
        services.remove_member(tenant_id=callers.tenant_id(request), membership_id=pk, by=callers.caller_id(request))
        return Response(status=204)


class MyTenantsView(ListAPIView[Membership]):
    """The tenants that the caller belongs to."""

    enters_tenant = False
    acts_as_person = True
    scopes = {"GET": Scope.PROFILE_READ}
    serializer_class = MyTenantSerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="me_tenants_list", summary="List one's tenants")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Every tenant that one belongs to, the last used one first."""
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Membership]:
        return selectors.memberships_of(callers.caller_id(self.request))
