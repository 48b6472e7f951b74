"""``/operator/v1/jobs``: long work, and how far it is."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import selectors, services
from jobs.models import Job
from operators.backends import OperatorAuthentication
from permissions.scopes import Scope

EXAMPLE = OpenApiExample(
    "Running",
    value={
        "id": "5f0c8a52-3a57-4b1c-9a38-0a6d1c1a7b10",
        "kind": "export_tenant",
        "tenant_id": "0f7f5a4e-0d5b-4c39-8b1f-6f2b6a1d9d11",
        "state": "running",
        "doing": "table projects_task",
        "done": 3,
        "total": 15,
        "arguments": {},
        "result": {},
        "error": "",
        "failures": 1,
        "cancel_requested": False,
        "pause_requested": False,
        "requested_by": "8c5a4bf0-7cc3-4821-b5f5-b23c862975f3",
        "created_at": "2026-01-15T09:30:00Z",
        "started_at": "2026-01-15T09:30:01Z",
        "finished_at": None,
    },
    response_only=True,
)


class JobSerializer(serializers.ModelSerializer[Job]):
    """A job."""

    class Meta:
        model = Job
        fields = [
            "id", "kind", "tenant_id", "state", "doing", "done", "total", "arguments", "result", "error", "failures",
            "cancel_requested", "pause_requested", "requested_by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs: dict[str, Any] = {
            "state": {
                "help_text": "`waiting`: it failed, or its worker stopped, and it goes on later; `paused`: until it is "
                "resumed."
            },
            "total": {"help_text": "Null as long as nobody knows."},
            "error": {"help_text": "The code and the sentence of the problem that stopped it, or the error's name."},
            "failures": {"help_text": "How often it came to no end, counting the present attempt."},
        }


@extend_schema_view(
    list=extend_schema(summary="List jobs"), retrieve=extend_schema(summary="See a job", examples=[EXAMPLE])
)
class JobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Job]):
    """Long work: exports, restores, copies, deletions, migrations, and what is done by time of day."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_JOBS_READ,
        "retrieve": Scope.PLATFORM_JOBS_READ,
        "cancel": Scope.PLATFORM_JOBS_WRITE,
        "pause": Scope.PLATFORM_JOBS_WRITE,
        "resume": Scope.PLATFORM_JOBS_WRITE,
    }
    serializer_class = JobSerializer
    filterset_fields = ["kind", "state", "tenant_id"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[Job]:
        return selectors.jobs()

    @extend_schema(operation_id="jobs_cancel", summary="Cancel a job", request=None, responses=JobSerializer)
    def cancel(self, request: Request, pk: UUID) -> Response:
        """End a job: at once when it has not begun, else at its next step; `cancel_requested` says that it was asked
        to. What it has done in steps stays. Deletions are not cancelled once they have begun.
        """
        return Response(self.get_serializer(services.cancel(job_id=pk)).data)

    @extend_schema(operation_id="jobs_pause", summary="Pause a job", request=None, responses=JobSerializer)
    def pause(self, request: Request, pk: UUID) -> Response:
        """Have a job wait: at once when it has not begun, else from its next step on; then its `state` is `paused`. A
        fleet migration stops at its next tenants and goes on with the rest; other jobs begin anew when resumed.
        Deletions are not paused.
        """
        return Response(self.get_serializer(services.pause(job_id=pk)).data)

    @extend_schema(operation_id="jobs_resume", summary="Resume a job", request=None, responses=JobSerializer)
    def resume(self, request: Request, pk: UUID) -> Response:
        """Let a job go on that was paused, or was asked to and has not stopped yet."""
        return Response(self.get_serializer(services.resume(job_id=pk)).data)
