"""``/operator/v1``: signing in as staff, and the tenants of the platform."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.sessions.models import Api
from identity.tokens.api import LogoutView, StepUpView, token_response
from identity.tokens.authority import Authority
from identity.tokens.minting import IssuedTokens
from identity.tokens.serializers import (
    PasswordSignInSerializer,
    RefreshSerializer,
    TokensSerializer,
    device_of,
)
from identity.tokens.services import SignedIn
from operators import services
from operators.backends import OperatorAuthentication, OperatorBearerBackend
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.models import Tenant, TenantStatus
from tenants.registry.names import validate_slug


class OperatorLoginSerializer(PasswordSignInSerializer):
    """Sign in as platform staff."""

    def create(self, validated_data: dict[str, Any]) -> IssuedTokens:
        """Start the session and return its tokens."""
        return services.sign_in(
            user=self.user,
            scope=validated_data.get("scope", ""),
            methods=["pwd"],
            device=device_of(self.context["request"]),
        )


class OperatorTenantSerializer(StrictModelSerializer):
    """A tenant as platform staff see it."""

    owner_email = serializers.EmailField(
        max_length=254, required=False, write_only=True, help_text="An existing account that becomes the first owner."
    )
    domains: serializers.Field[Any, Any, Any, Any] = serializers.SlugRelatedField("domain", many=True, read_only=True)

    class Meta:
        model = Tenant
        fields = [
            "id", "slug", "name", "status", "schema_name", "domains", "created_at", "updated_at", "archived_at",
            "delete_at", "owner_email",
        ]  # fmt: skip
        read_only_fields = ["id", "status", "schema_name", "created_at", "updated_at", "archived_at", "delete_at"]
        # No look-up whether it is free: that is decided where it is taken, under the database's own constraint (409).
        extra_kwargs: ClassVar[dict[str, Any]] = {"slug": {"validators": [validate_slug]}}


class OperatorLoginView(APIView):
    """Signing in as staff."""

    authentication_classes = [OperatorAuthentication]
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="operator_login", summary="Sign in", request=OperatorLoginSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Sign in as platform staff. The tokens are for the operator API alone: no tenant API accepts them."""
        serializer = OperatorLoginSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        return token_response(serializer.save())


class OperatorRefreshView(APIView):
    """Refreshing."""

    authentication_classes = [OperatorAuthentication]
    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="operator_refresh", summary="Refresh tokens", request=RefreshSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for new tokens, with the role of this moment."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return token_response(services.refresh(text=serializer.validated_data["refresh_token"]))


@extend_schema_view(post=extend_schema(operation_id="operator_logout"))
class OperatorLogoutView(LogoutView):
    """Signing out."""

    authentication_classes = [OperatorAuthentication]
    backend = OperatorBearerBackend
    api = Api.OPERATOR


@extend_schema_view(post=extend_schema(operation_id="operator_step_up"))
class OperatorStepUpView(StepUpView):
    """Proving again who one is."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"POST": Scope.PLATFORM_TENANTS_READ}  # every operator holds it

    def authority(self, caller: SignedIn) -> Authority:
        return services.current_authority(caller.user_id)


@extend_schema_view(list=extend_schema(summary="List tenants"))
class OperatorTenantViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Tenant]):
    """The tenants of the platform."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_TENANTS_READ,
        "create": Scope.PLATFORM_TENANTS_WRITE,
        "suspend": Scope.PLATFORM_TENANTS_WRITE,
        "resume": Scope.PLATFORM_TENANTS_WRITE,
    }
    recent_sign_in = {"suspend"}  # it throws everybody out
    serializer_class = OperatorTenantSerializer
    filterset_fields = ["status", "slug"]
    search_fields = ["name", "slug"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "name", "slug"]

    def get_queryset(self) -> QuerySet[Tenant]:
        return registry.tenants()

    @extend_schema(summary="Create a tenant")
    def create(self, request: Request) -> Response:
        """Create a tenant with its schema, all or nothing. It answers on its own host from the next request on."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        tenant = services.create_tenant(**serializer.validated_data)
        return Response(self.get_serializer(tenant).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="tenants_suspend", summary="Suspend a tenant", request=None)
    def suspend(self, request: Request, pk: UUID) -> Response:
        """Close a tenant: its members are refused from their next request on. Suspending it twice changes nothing."""
        return self._set_status(pk, TenantStatus.SUSPENDED)

    @extend_schema(operation_id="tenants_resume", summary="Resume a tenant", request=None)
    def resume(self, request: Request, pk: UUID) -> Response:
        """Open a suspended tenant again. Its members' tokens and sessions are good as before."""
        return self._set_status(pk, TenantStatus.ACTIVE)

    def _set_status(self, pk: UUID, status: TenantStatus) -> Response:
        tenant = registry_services.set_tenant_status(tenant_id=pk, status=status)
        return Response(self.get_serializer(tenant).data)
