"""``/api/v1/tenant``: the tenant one is in."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer
from tenants.registry import selectors, services
from tenants.registry.models import Tenant


class TenantSerializer(StrictModelSerializer):
    """A tenant as its own members see it."""

    domains = serializers.SerializerMethodField(help_text="Host names that lead to this tenant, the primary one first.")

    class Meta:
        model = Tenant
        fields = ["id", "slug", "name", "status", "domains", "created_at"]
        read_only_fields = ["id", "slug", "status", "created_at"]

    def get_domains(self, tenant: Tenant) -> list[str]:
        return [domain.domain for domain in sorted(tenant.domains.all(), key=lambda row: not row.is_primary)]


class TenantView(APIView):
    """The tenant that the token is for."""

    scopes = {"GET": Scope.TENANT_READ, "PATCH": Scope.TENANT_WRITE}

    @extend_schema(operation_id="tenant_retrieve", responses=TenantSerializer, summary="See the tenant")
    def get(self, request: Request) -> Response:
        """The tenant that the token is for: name, status and host names."""
        return Response(TenantSerializer(selectors.tenant_by_id(callers.tenant_id(request))).data)

    @extend_schema(
        operation_id="tenant_update", request=TenantSerializer, responses=TenantSerializer, summary="Rename the tenant"
    )
    def patch(self, request: Request) -> Response:
        """Change the tenant's display name. Its slug and its host names stay."""
        serializer = TenantSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changes: dict[str, Any] = serializer.validated_data
        tenant_id = callers.tenant_id(request)
        if "name" in changes:
            services.rename_tenant(tenant_id=tenant_id, name=changes["name"])
        return Response(TenantSerializer(selectors.tenant_by_id(tenant_id)).data)
