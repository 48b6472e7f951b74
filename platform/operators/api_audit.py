"""``/operator/v1/audit-events``: who changed what on the platform, or in one tenant, and the proof that nobody changed
that. It is the tenants' own trail (``tenants.audit.api``), of another chain.
"""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from operators.backends import OperatorAuthentication
from permissions.scopes import Scope
from tenants.audit import selectors, services
from tenants.audit.api import AuditEventViewSet, exporting, verifying
from tenants.audit.models import PLATFORM, AuditEvent
from tenants.registry import selectors as registry

_TENANT = OpenApiParameter(
    "tenant", UUID, description="The id of a tenant, whose trail is then shown; without it, the platform's own."
)


@extend_schema_view(
    list=extend_schema(operation_id="audit_events_list", parameters=[_TENANT]),
    retrieve=extend_schema(operation_id="audit_events_retrieve", parameters=[_TENANT]),
)
class OperatorAuditEventViewSet(AuditEventViewSet):
    """Every privileged change that concerns no tenant, or one of them, the newest first."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_AUDIT_EVENTS_READ,
        "retrieve": Scope.PLATFORM_AUDIT_EVENTS_READ,
        "export": Scope.PLATFORM_AUDIT_EVENTS_READ,
        "verify": Scope.PLATFORM_AUDIT_EVENTS_READ,
    }

    def get_queryset(self) -> QuerySet[AuditEvent]:
        tenant_id = self._tenant_id()
        return selectors.events_of_platform() if tenant_id is None else selectors.events_of(tenant_id)

    def chain_id(self) -> UUID:
        return self._tenant_id() or PLATFORM

    @exporting(_TENANT)
    def export(self, request: Request) -> HttpResponseBase:
        """Every event that the filters let through, the oldest first, as CSV or as one JSON object a line. It comes as
        a stream. That somebody took it is an event of the same trail.
        """
        response = super().export(request)
        services.note_export(tenant_id=self._tenant_id(), query=request.query_params.urlencode())
        return response

    @verifying(_TENANT)
    def verify(self, request: Request) -> Response:
        """Check the chain of hashes from its first event to its last: any edit, gap, insertion or change of order shows
        as a fault.
        """
        return super().verify(request)

    def _tenant_id(self) -> UUID | None:
        given = self.request.query_params.get("tenant")
        if given is None:
            return None
        try:
            tenant_id: UUID = serializers.UUIDField().run_validation(given)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"tenant": error.detail}) from None
        registry.tenant_by_id(tenant_id)  # or there is no such trail
        return tenant_id
