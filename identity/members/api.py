"""``/api/v1/members``, ``/api/v1/tenant/transfer-ownership`` and ``/api/v1/me/tenants``."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.functional import cached_property
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.members import selectors, services
from identity.members.errors import NotAMember
from identity.members.models import Membership, MembershipStatus
from identity.roles.models import NAME_LENGTH
from permissions import callers, scopes
from permissions.roles import Role
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer
from tenants.registry import selectors as registry


class MemberSerializer(StrictModelSerializer):
    """A member as the other members see them."""

    user_id = serializers.UUIDField(read_only=True)
    email = serializers.SerializerMethodField(
        help_text="Null for those who may not see addresses: see the scope `member-addresses:read`."
    )
    name = serializers.CharField(source="user.name", read_only=True)
    role = serializers.CharField(max_length=NAME_LENGTH, help_text="Name of a built-in or composed role.")

    class Meta:
        model = Membership
        fields = ["id", "user_id", "email", "name", "role", "status", "joined_at"]
        read_only_fields = ["id", "status", "joined_at"]

    @extend_schema_field(serializers.EmailField(allow_null=True))
    def get_email(self, member: Membership) -> str | None:
        is_own = member.user_id == callers.principal_of(self.context["request"]).id
        return member.user.email if is_own or self.context["sees_addresses"] else None


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


class TransferSerializer(StrictSerializer):
    """To whom a tenant goes."""

    member_id = serializers.UUIDField(help_text="The member who becomes owner.")
    become = serializers.CharField(
        max_length=NAME_LENGTH, required=False, default=Role.ADMIN.value, help_text="The role that you have afterwards."
    )


class MemberFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    role = filters.CharFilter(method="by_role", max_length=NAME_LENGTH, help_text="Name of a role.")
    status = filters.ChoiceFilter(choices=MembershipStatus.choices)

    class Meta:
        model = Membership
        fields = ["role", "status"]

    def by_role(self, queryset: QuerySet[Membership], name: str, value: str) -> QuerySet[Membership]:
        return selectors.has_role(queryset, tenant_id=callers.tenant_id(self.request), name=value)


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
        "suspend": Scope.MEMBERS_WRITE,
        "reactivate": Scope.MEMBERS_WRITE,
        "destroy": Scope.MEMBERS_WRITE,
        "leave": Scope.PROFILE_WRITE,
    }
    serializer_class = MemberSerializer
    filterset_class = MemberFilter
    ordering = ["-joined_at"]
    ordering_fields = ["joined_at", "role"]

    @property
    def search_fields(self) -> list[str]:
        """What is searched: what is not shown is not to be guessed at, letter by letter."""
        return ["user__email", "user__name"] if self.sees_addresses else ["user__name"]

    @cached_property
    def sees_addresses(self) -> bool:
        """Whether the caller sees other members' addresses: by their scopes, or because the tenant lets everybody."""
        if getattr(self, "swagger_fake_view", False):
            return True
        held = callers.principal_of(self.request).scopes
        return scopes.holds(held, Scope.MEMBER_ADDRESSES_READ) or registry.shows_addresses(
            callers.tenant_id(self.request)
        )

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "sees_addresses": self.sees_addresses}

    def get_queryset(self) -> QuerySet[Membership]:
        return selectors.members_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(summary="Change a member's role")
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Give a member another role, up to one's own.

        The member's tokens are refused from their next request on; refreshing gives one with the new role. The last
        owner stays owner (`last_owner`), nobody changes a member who outranks them (`outranked`), and nobody gives a
        role with more than their own token holds (`scope_not_held`).
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        member = services.change_role(
            tenant_id=callers.tenant_id(request),
            membership_id=pk,
            role=serializer.validated_data["role"],
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(self.get_serializer(member).data)

    @extend_schema(operation_id="members_suspend", summary="Suspend a member", request=None)
    def suspend(self, request: Request, pk: UUID) -> Response:
        """Keep a member out until they are reactivated. Their tokens for this tenant are refused from their next
        request on; other tenants of theirs are not concerned. Suspending them twice changes nothing.
        """
        member = services.suspend_member(
            tenant_id=callers.tenant_id(request), membership_id=pk, by=callers.caller_id(request)
        )
        return Response(self.get_serializer(member).data)

    @extend_schema(operation_id="members_reactivate", summary="Reactivate a member", request=None)
    def reactivate(self, request: Request, pk: UUID) -> Response:
        """Let a suspended member in again, with the role they have."""
        member = services.reactivate_member(
            tenant_id=callers.tenant_id(request),
            membership_id=pk,
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(self.get_serializer(member).data)

    @extend_schema(summary="Remove a member")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove a member. Their tokens for this tenant are refused from their next request on."""
        services.remove_member(tenant_id=callers.tenant_id(request), membership_id=pk, by=callers.caller_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="members_leave", summary="Leave the tenant", request=None, responses={204: None})
    def leave(self, request: Request) -> Response:
        """Take oneself out of the tenant. One's own tokens for it are refused from the next request on. The last owner
        stays (`last_owner`).
        """
        tenant_id = callers.principal_of(request).tenant_id
        if tenant_id is None:
            raise NotAMember
        services.leave(tenant_id=tenant_id, user_id=callers.caller_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TransferOwnershipView(APIView):
    """Giving a tenant away."""

    scopes = {"POST": (Scope.TENANT_WRITE, Scope.MEMBERS_WRITE)}
    recent_sign_in = {"POST"}

    @extend_schema(
        operation_id="tenant_transfer_ownership",
        summary="Transfer ownership",
        request=TransferSerializer,
        responses=MemberSerializer,
        examples=[
            OpenApiExample(
                "To a colleague", value={"member_id": "e2b1f7b0-95a8-4b53-a1a5-3c0d2d5c0a57"}, request_only=True
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Make another member owner in your place: both change, or neither. Only an owner can (`not_the_owner`), with a
        token that holds all that an owner does (`scope_not_held`) and a recent sign-in. Your own tokens are refused
        from your next request on; refresh for the new role's.
        """
        serializer = TransferSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        member = services.transfer_ownership(
            tenant_id=callers.tenant_id(request),
            membership_id=serializer.validated_data["member_id"],
            become=serializer.validated_data["become"],
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(MemberSerializer(member, context={"request": request, "sees_addresses": True}).data)


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
        """Every tenant that one belongs to, the last used one first. Whoever came in by a tenant's own single sign-on
        sees that one alone.
        """
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Membership]:
        only = callers.principal_of(self.request).only_tenant_id
        return selectors.memberships_of(callers.caller_id(self.request), only_tenant_id=only)
