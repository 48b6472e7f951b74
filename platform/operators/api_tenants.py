"""``/operator/v1/tenants``: the tenants of the platform."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from identity.invitations import services as invitations
from operators import services, tenant_details
from operators.backends import OperatorAuthentication
from operators.models import SupportAccess
from operators.tenant_details import TenantDetail, Used
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer
from tenants.lifecycle import deletion
from tenants.registry import plans
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.api import LimitsSerializer
from tenants.registry.models import Tenant, TenantStatus
from tenants.registry.names import SLUG_LENGTH, validate_slug

_WORDS_AT_MOST = 10  # each is looked for in four tables
_TENANT = {
    "id": "0f7f5a4e-0d5b-4c39-8b1f-6f2b6a1d9d11",
    "slug": "acme",
    "name": "Acme Corporation",
    "status": "active",
    "plan": "standard",
    "schema_name": "t_mfzwizltoq2dgnbv",
    "domains": ["acme.example.com"],
    "created_at": "2026-01-15T09:30:00Z",
    "updated_at": "2026-01-15T09:30:00Z",
    "archived_at": None,
    "delete_at": None,
}
_DETAIL = _TENANT | {
    "limits": {"seats": 50, "requests_per_minute": None, "clients": 10},
    "used": {"seats": 12, "clients": 1},
    "suspended_members": 1,
    "pending_invitations": 2,
    "owners": [
        {
            "id": "6d0f3f0c-1f0e-4c11-8ad6-0a7d0d6a3c52",
            "user_id": "8c5a4bf0-7cc3-4821-b5f5-b23c862975f3",
            "email": "owner@acme.test",
            "name": "Ada",
        }
    ],
    "invited_owner": None,
    "size": 4194304,
    "schema": {"version": "5d41402abc4b", "behind": [], "is_drifted": False, "failure": ""},
    "last_active_at": "2026-01-16T08:00:00Z",
    "supports": [],
    "has_former_data": False,
}


class OperatorTenantSerializer(StrictModelSerializer):
    """A tenant as platform staff see it."""

    owner_email = serializers.EmailField(
        max_length=254,
        required=False,
        write_only=True,
        help_text="Of the first owner: an account whose person has proved it, else it is invited.",
    )
    plan = serializers.SerializerMethodField()
    domains: serializers.Field[Any, Any, Any, Any] = serializers.SlugRelatedField("domain", many=True, read_only=True)

    class Meta:
        model = Tenant
        fields = [
            "id", "slug", "name", "status", "plan", "schema_name", "domains", "created_at", "updated_at",
            "archived_at", "delete_at", "owner_email",
        ]  # fmt: skip
        read_only_fields = ["id", "status", "schema_name", "created_at", "updated_at", "archived_at", "delete_at"]
        # No look-up whether it is free: that is decided where it is taken, under the database's own constraint (409).
        extra_kwargs: ClassVar[dict[str, Any]] = {"slug": {"validators": [validate_slug]}}

    def get_plan(self, tenant: Tenant) -> str:
        return plans.name_of(tenant.plan)


class UsedSerializer(serializers.Serializer[Used]):
    """How much of it is used."""

    seats = serializers.IntegerField()
    clients = serializers.IntegerField()


class TenantOwnerSerializer(serializers.Serializer[Any]):
    """An owner of a tenant."""

    id = serializers.UUIDField(help_text="The membership.")
    user_id = serializers.UUIDField()
    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")


class TenantSchemaSerializer(serializers.Serializer[Any]):
    """Where a tenant's tables stand."""

    version = serializers.CharField()
    behind = serializers.ListField(child=serializers.CharField(), help_text="Migrations that it has yet to get.")
    is_drifted = serializers.BooleanField(allow_null=True, help_text="Null while it is behind.")
    failure = serializers.CharField(help_text="What stopped its last migration.")


class LiveSupportSerializer(serializers.ModelSerializer[SupportAccess]):
    """Staff who are in the tenant now."""

    class Meta:
        model = SupportAccess
        fields = ["id", "staff_id", "staff_name", "reason", "ticket", "access", "started_at", "expires_at"]
        read_only_fields = fields


class TenantDetailSerializer(serializers.Serializer[TenantDetail]):
    """One tenant, looked at closely."""

    id = serializers.UUIDField(source="tenant.id")
    slug = serializers.CharField(source="tenant.slug")
    name = serializers.CharField(source="tenant.name")
    status = serializers.ChoiceField(choices=TenantStatus.choices, source="tenant.status")
    plan = serializers.SerializerMethodField()
    schema_name = serializers.CharField(source="tenant.schema_name")
    domains = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField(source="tenant.created_at")
    updated_at = serializers.DateTimeField(source="tenant.updated_at")
    archived_at = serializers.DateTimeField(source="tenant.archived_at", allow_null=True)
    delete_at = serializers.DateTimeField(source="tenant.delete_at", allow_null=True)
    limits = LimitsSerializer()
    used = UsedSerializer()
    suspended_members = serializers.IntegerField()
    pending_invitations = serializers.IntegerField()
    owners = TenantOwnerSerializer(many=True, help_text="Active ones, the first twenty.")
    invited_owner = serializers.EmailField(
        allow_null=True, help_text="Whom the platform has invited as the first owner."
    )
    size = serializers.IntegerField(help_text="Of its tables and their indexes, in bytes.")
    schema = TenantSchemaSerializer(source="state", allow_null=True, help_text="Null where only workers can tell.")
    last_active_at = serializers.DateTimeField(allow_null=True, help_text="When somebody last got a token for it.")
    supports = LiveSupportSerializer(many=True, help_text="Support accesses that go on.")
    has_former_data = serializers.BooleanField(help_text="A restore in place waits to be confirmed, or undone.")

    def get_plan(self, detail: TenantDetail) -> str:
        return plans.name_of(detail.tenant.plan)


class TenantChangesSerializer(StrictSerializer):
    """What staff change of a tenant's names."""

    name = serializers.CharField(max_length=120, required=False)
    slug = serializers.CharField(
        max_length=SLUG_LENGTH,
        validators=[validate_slug],
        required=False,
        help_text="Its own host changes with it: the former one leads nowhere from then on.",
    )


class FirstOwnerSerializer(StrictSerializer):
    """Who is to own a tenant."""

    owner_email = serializers.EmailField(max_length=254)


class TenantFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    plan = filters.CharFilter(method="by_plan", max_length=plans.PLAN_LENGTH, help_text="Name of a plan.")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    drifted = filters.BooleanFilter(
        method="by_drift", help_text="Whether its tables were not its version's when they were last compared."
    )

    class Meta:
        model = Tenant
        fields = ["status", "slug"]

    def by_plan(self, queryset: QuerySet[Tenant], name: str, value: str) -> QuerySet[Tenant]:
        return tenant_details.with_plan(queryset, value)

    def by_drift(self, queryset: QuerySet[Tenant], name: str, value: bool) -> QuerySet[Tenant]:  # noqa: FBT001
        return tenant_details.drifted(queryset, are=value)


class TenantSearch(SearchFilter):
    """Name, slug, host, id, or an owner's address."""

    search_description = "In name, slug, hosts, id, and owners' addresses."

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        terms = list(self.get_search_terms(request))
        if len(terms) > _WORDS_AT_MOST:
            raise serializers.ValidationError({"search": [f"Search for at most {_WORDS_AT_MOST} words."]})
        for term in terms:
            queryset = tenant_details.matching(queryset, term)
        return queryset


_filters: list[Any] = list(api_settings.DEFAULT_FILTER_BACKENDS)  # classes by now, whatever their type says
_FILTERS = [TenantSearch if issubclass(each, SearchFilter) else each for each in _filters]


@extend_schema_view(list=extend_schema(summary="List tenants"))
class OperatorTenantViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Tenant]):
    """The tenants of the platform."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_TENANTS_READ,
        "retrieve": Scope.PLATFORM_TENANTS_READ,
        "create": Scope.PLATFORM_TENANTS_WRITE,
        "partial_update": Scope.PLATFORM_TENANTS_WRITE,
        "invite_owner": Scope.PLATFORM_TENANTS_WRITE,
        "suspend": Scope.PLATFORM_TENANTS_WRITE,
        "resume": Scope.PLATFORM_TENANTS_WRITE,
        "destroy": Scope.PLATFORM_TENANTS_WRITE,
    }
    # What throws everybody out, or leads them nowhere.
    recent_sign_in: ClassVar[set[str]] = {"suspend", "destroy", "partial_update"}
    serializer_class = OperatorTenantSerializer
    filter_backends = _FILTERS
    filterset_class = TenantFilter
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "name", "slug"]

    def get_queryset(self) -> QuerySet[Tenant]:
        return registry.tenants()

    @extend_schema(summary="Create a tenant")
    def create(self, request: Request) -> Response:
        """Create a tenant with its schema, all or nothing. It answers on its own host from the next request on. Whoever
        is named as the first owner is one at once, if their account has proved its address; else they are invited.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        tenant = services.create_tenant(**serializer.validated_data)
        return Response(self.get_serializer(tenant).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="tenants_retrieve",
        summary="See a tenant",
        responses=TenantDetailSerializer,
        examples=[OpenApiExample("A tenant", value=_DETAIL, response_only=True)],
    )
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One tenant: its plan, who is in it, how large it is, where its tables stand, and when it was last used."""
        return Response(TenantDetailSerializer(tenant_details.detail(pk)).data)

    @extend_schema(
        operation_id="tenants_update",
        summary="Change a tenant's name or slug",
        request=TenantChangesSerializer,
        responses=OperatorTenantSerializer,
        examples=[OpenApiExample("Another slug", value={"slug": "acme-europe"}, request_only=True)],
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Call a tenant something else. With its slug its own host changes, too: the former one leads nowhere from then
        on. Tokens and sessions stay good.
        """
        serializer = TenantChangesSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        tenant = services.rename_tenant(tenant_id=pk, **serializer.validated_data)
        return Response(self.get_serializer(tenant).data)

    @extend_schema(
        operation_id="tenants_invite_owner",
        summary="Invite the first owner",
        request=FirstOwnerSerializer,
        responses={204: None},
        examples=[OpenApiExample("An address", value={"owner_email": "ada@example.com"}, request_only=True)],
    )
    def invite_owner(self, request: Request, pk: UUID) -> Response:
        """Invite somebody as the owner of a tenant that has none, in place of whom the platform invited before. A
        tenant with an active owner invites people itself (`has_owner`).
        """
        serializer = FirstOwnerSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        invitations.invite_owner(tenant_id=pk, email=serializer.validated_data["owner_email"])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="tenants_suspend", summary="Suspend a tenant", request=None)
    def suspend(self, request: Request, pk: UUID) -> Response:
        """Close a tenant: its members are refused from their next request on. Suspending it twice changes nothing."""
        return self._set_status(pk, TenantStatus.SUSPENDED)

    @extend_schema(operation_id="tenants_resume", summary="Resume a tenant", request=None)
    def resume(self, request: Request, pk: UUID) -> Response:
        """Open a suspended tenant again. Its members' tokens and sessions are good as before."""
        return self._set_status(pk, TenantStatus.ACTIVE)

    @extend_schema(operation_id="tenants_destroy", summary="Delete a tenant", responses={202: OperatorTenantSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Archive a tenant, to be deleted for good at `delete_at`: until then it can be brought back. Asking again does
        not move the day.
        """
        tenant = deletion.schedule_deletion(tenant_id=pk)
        return Response(self.get_serializer(tenant).data, status=status.HTTP_202_ACCEPTED)

    def _set_status(self, pk: UUID, status: TenantStatus) -> Response:
        tenant = registry_services.set_tenant_status(tenant_id=pk, status=status)
        return Response(self.get_serializer(tenant).data)
