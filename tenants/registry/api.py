"""``/api/v1/tenant``: the tenant one is in."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer
from tenants.registry import selectors, services
from tenants.registry.branding import validate_branding
from tenants.registry.models import TENANT_SETTINGS, Tenant
from tenants.registry.plans import Limits, limits_of, name_of


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            "logo_url": {"type": "string", "format": "uri"},
            "support_url": {"type": "string", "format": "uri"},
            "primary_color": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
            "welcome": {"type": "string", "maxLength": 200},
        },
        "additionalProperties": False,
    }
)
class BrandingField(serializers.JSONField):
    """How a tenant looks to its members."""


class LimitsSerializer(serializers.Serializer[Limits]):
    """What a tenant may use; null is no limit."""

    seats = serializers.IntegerField(allow_null=True, help_text="Active members.")
    requests_per_minute = serializers.IntegerField(
        allow_null=True, help_text="Of all members and machine clients together."
    )
    clients = serializers.IntegerField(allow_null=True, help_text="Machine clients.")


class TenantSerializer(StrictModelSerializer):
    """A tenant as its own members see it."""

    plan = serializers.SerializerMethodField(help_text="What the tenant's plan is called; the platform sets it.")
    limits = serializers.SerializerMethodField()

    domains = serializers.SerializerMethodField(help_text="Host names that lead to this tenant, the primary one first.")
    branding = BrandingField(
        validators=[validate_branding],
        required=False,
        help_text="Any of `logo_url`, `support_url`, `primary_color` and `welcome`; replaced as a whole.",
    )

    class Meta:
        model = Tenant
        fields = ["id", "slug", "status", "plan", "limits", "domains", "created_at", *TENANT_SETTINGS]
        read_only_fields = ["id", "slug", "status", "created_at"]

    def get_plan(self, tenant: Tenant) -> str:
        return name_of(tenant.plan)

    @extend_schema_field(LimitsSerializer)
    def get_limits(self, tenant: Tenant) -> Any:
        return LimitsSerializer(limits_of(tenant)).data

    def get_domains(self, tenant: Tenant) -> list[str]:
        return [domain.domain for domain in sorted(tenant.domains.all(), key=lambda row: not row.is_primary)]


class TenantView(APIView):
    """The tenant that the token is for."""

    scopes = {"GET": Scope.TENANT_READ, "PATCH": Scope.TENANT_WRITE}

    @extend_schema(operation_id="tenant_retrieve", responses=TenantSerializer, summary="See the tenant")
    def get(self, request: Request) -> Response:
        """The tenant that the token is for: its name, settings and host names."""
        return Response(TenantSerializer(selectors.tenant_by_id(callers.tenant_id(request))).data)

    @extend_schema(
        operation_id="tenant_update",
        request=TenantSerializer,
        responses=TenantSerializer,
        summary="Change the tenant's settings",
        examples=[
            OpenApiExample(
                "Name and color",
                value={"name": "Acme", "time_zone": "Europe/Lisbon", "branding": {"primary_color": "#1a73e8"}},
                request_only=True,
            )
        ],
    )
    def patch(self, request: Request) -> Response:
        """Change the tenant's name, language, time zone, branding, and whether every member sees the others' e-mail
        addresses. Its slug and its host names stay.
        """
        serializer = TenantSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        tenant_id = callers.tenant_id(request)
        if serializer.validated_data:
            services.change_settings(tenant_id=tenant_id, changes=serializer.validated_data)
        return Response(TenantSerializer(selectors.tenant_by_id(tenant_id)).data)
