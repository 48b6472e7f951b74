"""``/operator/v1/tenants/{id}/limits``: a tenant's plan, and what it has instead of what the plan says."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from operators import tenant_details
from operators.api_tenants import UsedSerializer
from operators.backends import OperatorAuthentication
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.registry import plans
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.api import LimitsSerializer
from tenants.registry.models import Tenant


def _own(source: str, help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        source=source, min_value=1, max_value=plans.MOST, allow_null=True, required=False, help_text=help_text
    )


class TenantLimitsSerializer(StrictSerializer):
    """A plan, and numbers in place of the plan's; null is the plan's."""

    plan = serializers.CharField(max_length=plans.PLAN_LENGTH, required=False, help_text="One of `PLANS`.")
    seats = _own("seat_limit", "Active members.")
    requests_per_minute = _own("request_limit", "Of all members and machine clients together.")
    clients = _own("client_limit", "Machine clients.")
    in_effect = LimitsSerializer(read_only=True, help_text="What holds; null is no limit.")
    used = UsedSerializer(read_only=True)


class TenantLimitsView(APIView):
    """What a tenant may use."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"GET": Scope.PLATFORM_TENANTS_READ, "PATCH": Scope.PLATFORM_TENANTS_WRITE}

    @extend_schema(operation_id="tenants_limits", summary="See a tenant's limits", responses=TenantLimitsSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """The tenant's plan, its own limits, what holds, and how much of it is used."""
        return _answer(registry.tenant_by_id(pk))

    @extend_schema(
        operation_id="tenants_limits_update",
        summary="Change a tenant's limits",
        request=TenantLimitsSerializer,
        responses=TenantLimitsSerializer,
        examples=[OpenApiExample("More seats", value={"plan": "standard", "seats": 50}, request_only=True)],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Give a tenant another plan, or a limit of its own; null takes that back. It holds from the next request on.
        Where the tenant uses more already, nobody is removed: there is only no more of it. The tenant sees its limits,
        and the change in its audit trail.
        """
        serializer = TenantLimitsSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        return _answer(registry_services.set_limits(tenant_id=pk, changes=serializer.validated_data))


def _answer(tenant: Tenant) -> Response:
    body: dict[str, Any] = {
        "plan": plans.name_of(tenant.plan),
        "seat_limit": tenant.seat_limit,
        "request_limit": tenant.request_limit,
        "client_limit": tenant.client_limit,
        "in_effect": plans.limits_of(tenant),
        "used": tenant_details.used_by(tenant.pk),
    }
    return Response(TenantLimitsSerializer(body).data)
