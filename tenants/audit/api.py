"""``/api/v1/audit-events``: who changed what in the tenant, and the proof that nobody changed that."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from permissions import callers
from permissions.scopes import Scope
from tenants.audit import export, selectors
from tenants.audit.models import AuditEvent

_Method = TypeVar("_Method", bound=Callable[..., Any])

_EXAMPLE = OpenApiExample(
    "A member's role was changed",
    value={
        "id": "5f6e1d1e-6f0c-4b40-9a62-0a5c6f1f6c1b",
        "sequence": 42,
        "occurred_at": "2026-01-31T12:00:00.123456Z",
        "action": "member.role_changed",
        "actor": {
            "kind": "member",
            "id": "0d3b6f0a-0b7b-4a5e-8f53-8f0a3f2f4a11",
            "name": "",
            "act": None,
            "session_id": None,
        },
        "targets": [{"type": "member", "id": "e2b1f7b0-95a8-4b53-a1a5-3c0d2d5c0a57", "name": "Vera"}],
        "changes": {"role": ["viewer", "member"]},
        "address": "192.0.2.7",
        "request_id": "8a1f0f5e-3b43-4f0b-9d0c-27f2f0a6a1d4",
        "previous_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    },
    response_only=True,
)


class ActorSerializer(serializers.Serializer[AuditEvent]):
    """Who acted."""

    kind = serializers.CharField(
        source="actor_kind", help_text="`member`, `client`, `operator`, `command`, `system` and so on."
    )
    id = serializers.UUIDField(source="actor_id", allow_null=True)
    name = serializers.CharField(source="actor_name", help_text="Of a command, who started it; else empty.")
    act = serializers.UUIDField(allow_null=True, help_text="The member of staff behind it, in support access.")
    session_id = serializers.UUIDField(allow_null=True)


class TargetSerializer(serializers.Serializer[Any]):
    """What was acted upon."""

    type = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField(help_text="What it was called then.")


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One change."""

    actor = ActorSerializer(source="*", read_only=True)
    targets = TargetSerializer(many=True, read_only=True)
    changes = serializers.DictField(
        child=serializers.ListField(), read_only=True, help_text="Field to its value before and after."
    )
    previous_hash = serializers.SerializerMethodField(help_text="The hash of the event before it, in hexadecimal.")
    hash = serializers.SerializerMethodField(help_text="SHA-256, in hexadecimal.")

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "sequence",
            "occurred_at",
            "action",
            "actor",
            "targets",
            "changes",
            "address",
            "request_id",
            "previous_hash",
            "hash",
        ]
        read_only_fields = fields

    def get_previous_hash(self, event: AuditEvent) -> str:
        return bytes(event.previous_hash).hex()

    def get_hash(self, event: AuditEvent) -> str:
        return bytes(event.hash).hex()


class FaultSerializer(serializers.Serializer[Any]):
    """What is wrong at one place of the chain."""

    sequence = serializers.IntegerField()
    problem = serializers.CharField()


class VerdictSerializer(serializers.Serializer[Any]):
    """What came of checking the chain."""

    is_whole = serializers.BooleanField(help_text="No event was edited, removed, added or put elsewhere.")
    events = serializers.IntegerField(help_text="How many were checked.")
    first = serializers.IntegerField(help_text="The first one's place; older ones are beyond the retention time.")
    last = serializers.IntegerField()
    faults = FaultSerializer(many=True)


class AuditEventFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    action = filters.CharFilter(help_text="Such as `member.role_changed`.", max_length=64)
    actor_id = filters.UUIDFilter(help_text="Who acted, or was really acting.", method="by_actor")
    target_id = filters.UUIDFilter(help_text="What was acted upon.", method="by_target")
    actor_kind = filters.CharFilter(help_text="Such as `operator` or `command`.", max_length=16)
    request_id = filters.CharFilter(help_text="The `X-Request-ID` of the request's answer.", max_length=64)
    occurred_after = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte")
    occurred_before = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields: list[str] = []

    def by_actor(self, queryset: QuerySet[AuditEvent], name: str, value: Any) -> QuerySet[AuditEvent]:
        return selectors.by_actor(queryset, value)

    def by_target(self, queryset: QuerySet[AuditEvent], name: str, value: Any) -> QuerySet[AuditEvent]:
        return selectors.on_target(queryset, value)


def exporting(*parameters: OpenApiParameter) -> Callable[[_Method], _Method]:
    """Document the export of a trail, with what else it may be asked for."""
    return extend_schema(
        operation_id="audit_events_export",
        summary="Export audit events",
        parameters=[
            OpenApiParameter("type", str, enum=list(export.FORMATS), required=True, description="What to write."),
            *(OpenApiParameter(name, exclude=True) for name in ("limit", "cursor", "ordering")),
            *parameters,
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
        filters=True,
    )


def verifying(*parameters: OpenApiParameter) -> Callable[[_Method], _Method]:
    """Document the check of a trail, with what else it may be asked for."""
    return extend_schema(
        operation_id="audit_events_verify",
        summary="Verify the audit trail",
        parameters=[
            *(OpenApiParameter(name, exclude=True) for name in ("limit", "cursor", "ordering")),
            *parameters,
        ],
        responses=VerdictSerializer,
        filters=False,
    )


@extend_schema_view(
    list=extend_schema(summary="List audit events", examples=[_EXAMPLE]),
    retrieve=extend_schema(summary="See an audit event", examples=[_EXAMPLE]),
)
class AuditEventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AuditEvent]):
    """Every privileged change in the tenant, the newest first."""

    scopes = {
        "list": Scope.AUDIT_EVENTS_READ,
        "retrieve": Scope.AUDIT_EVENTS_READ,
        "export": Scope.AUDIT_EVENTS_READ,
        "verify": Scope.AUDIT_EVENTS_READ,
    }
    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilter
    ordering = ["-sequence"]
    ordering_fields = ["sequence"]

    def get_queryset(self) -> QuerySet[AuditEvent]:
        return selectors.events_of(callers.principal_of(self.request).tenant_id)

    def chain_id(self) -> UUID:
        """Return the id of the chain that is shown."""
        return callers.tenant_id(self.request)

    @exporting()
    def export(self, request: Request) -> HttpResponseBase:
        """Every event that the filters let through, the oldest first, as CSV or as one JSON object a line. It comes as
        a stream. With the JSON lines of a whole chain anybody can compute the hashes again.
        """
        name = request.query_params.get("type", "")
        if name not in export.FORMATS:
            raise ValidationError({"type": [f"Use one of: {', '.join(export.FORMATS)}."]}, code="invalid_choice")
        events = self.filter_queryset(self.get_queryset()).order_by("sequence")
        rows: Iterator[dict[str, Any]] = (AuditEventSerializer(event).data for event in selectors.in_chunks(events))
        chosen = export.FORMATS[name]
        headers = {"Content-Disposition": f'attachment; filename="audit-events.{name}"'}
        return StreamingHttpResponse(chosen.lines(rows), content_type=chosen.media_type, headers=headers)

    @verifying()
    def verify(self, request: Request) -> Response:
        """Check the chain of hashes from its first event to its last: any edit, gap, insertion or change of order shows
        as a fault.
        """
        return Response(VerdictSerializer(selectors.verdict_on(self.chain_id())).data)
