"""``/operator/v1/tenants/{id}/members``: who is in a tenant."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.members import selectors
from identity.members.models import Membership, MembershipStatus
from identity.roles.models import NAME_LENGTH
from operators import members
from operators.backends import OperatorAuthentication
from permissions import callers
from permissions.scopes import Scope
from tenants.registry import selectors as registry


class TenantMemberSerializer(serializers.ModelSerializer[Membership]):
    """A member, as platform staff see them."""

    user_id = serializers.UUIDField(read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "user_id", "email", "name", "role", "status", "joined_at", "last_used_at"]
        read_only_fields = fields
        extra_kwargs: dict[str, Any] = {"last_used_at": {"help_text": "When they last entered the tenant."}}


class TenantMemberFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    role = filters.CharFilter(max_length=NAME_LENGTH, help_text="Name of a role.")
    status = filters.ChoiceFilter(choices=MembershipStatus.choices)

    class Meta:
        model = Membership
        fields = ["role", "status"]


class TenantMemberViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Membership]):
    """The members of one tenant. Who is one, and as what, is the tenant's to decide."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_TENANTS_READ,
        "end_sessions": Scope.PLATFORM_TENANTS_WRITE,
        "reset_password": Scope.PLATFORM_TENANTS_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"end_sessions", "reset_password"}
    serializer_class = TenantMemberSerializer
    filterset_class = TenantMemberFilter
    search_fields = ["user__email", "user__name"]
    ordering = ["-joined_at"]
    ordering_fields = ["joined_at", "role"]

    def get_queryset(self) -> QuerySet[Membership]:
        if getattr(self, "swagger_fake_view", False):
            return selectors.members_of(None)
        return selectors.members_of(registry.tenant_by_id(self.kwargs["pk"]).pk)

    @extend_schema(operation_id="tenants_members", summary="List a tenant's members")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The members of one tenant, the newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        operation_id="tenants_members_end_sessions",
        summary="Sign a member out",
        request=None,
        responses=TenantMemberSerializer,
    )
    def end_sessions(self, request: Request, pk: UUID, member_id: UUID) -> Response:
        """End all of a person's sessions, in whichever tenants: their tokens are refused from the next request on. Of
        members who are on the platform's staff, admins alone do this (`staff_member`).
        """
        member = members.end_sessions(tenant_id=pk, membership_id=member_id, by=callers.caller_id(request))
        return Response(self.get_serializer(member).data)

    @extend_schema(
        operation_id="tenants_members_reset_password",
        summary="Have a member choose another password",
        request=None,
        responses=TenantMemberSerializer,
    )
    def reset_password(self, request: Request, pk: UUID, member_id: UUID) -> Response:
        """Void a person's password, sign them out everywhere, and mail them the link to choose another one. Nobody else
        sees the link, and nobody sets a password. Of members who are on the platform's staff, admins alone do this
        (`staff_member`).
        """
        member = members.reset_password(tenant_id=pk, membership_id=member_id, by=callers.caller_id(request))
        return Response(self.get_serializer(member).data)
