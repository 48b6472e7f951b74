"""``POST /api/v1/tenants``: how people come to a tenant of their own."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.onboarding import services
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer
from tenants.registry.models import Tenant
from tenants.registry.names import validate_slug


class OwnTenantSerializer(StrictModelSerializer):
    """A tenant of one's own."""

    domains: serializers.Field[Any, Any, Any, Any] = serializers.SlugRelatedField("domain", many=True, read_only=True)
    role = serializers.SerializerMethodField(help_text="Your role in it.")

    class Meta:
        model = Tenant
        fields = ["id", "slug", "name", "status", "domains", "role", "created_at"]
        read_only_fields = ["id", "status", "created_at"]
        # Whether it is free is decided where it is taken (409).
        extra_kwargs = {"slug": {"validators": [validate_slug]}}

    def get_role(self, tenant: Tenant) -> str:
        return "owner"


class OwnTenantsView(APIView):
    """Tenants that people create for themselves."""

    enters_tenant = False
    scopes = {"POST": Scope.TENANTS_WRITE}
    throttles = {"POST": "registration"}

    @extend_schema(
        operation_id="own_tenants_create",
        summary="Create a tenant",
        request=OwnTenantSerializer,
        responses={201: OwnTenantSerializer},
        examples=[OpenApiExample("A team's", value={"name": "Initech", "slug": "initech"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a tenant and become its owner. It is ready at once: enter it with `POST /api/v1/auth/switch`, or sign
        in on its host. One person creates a bounded number of them (`too_many_tenants`).
        """
        serializer = OwnTenantSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        tenant = services.create_own_tenant(user_id=callers.caller_id(request), **serializer.validated_data)
        return Response(OwnTenantSerializer(tenant).data, status=status.HTTP_201_CREATED)
