"""``/api/v1/projects`` and ``/api/v1/tasks``.

This is all an adopter writes: the scopes, the serializer and the queryset. Which tenant's rows these are, who may
come this far, errors, pages and documentation are the product's.
"""

from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from examples.projects.models import Project, Task
from permissions import callers
from permissions.decorators import require_scopes
from permissions.serializers import StrictModelSerializer

READ_ONLY = ["id", "created_by", "created_at", "updated_at"]


class ProjectSerializer(StrictModelSerializer):
    """Something that the tenant works on."""

    class Meta:
        model = Project
        fields = ["id", "name", "description", "status", "created_by", "created_at", "updated_at"]
        read_only_fields = READ_ONLY


class TaskSerializer(StrictModelSerializer):
    """A step of a project."""

    class Meta:
        model = Task
        fields = [
            "id",
            "project",
            "title",
            "status",
            "assignee_id",
            "due_on",
            "created_by",
            "created_at",
            "updated_at",
        ]
        read_only_fields = READ_ONLY


class ProjectViewSet(viewsets.ModelViewSet[Project]):
    """The tenant's projects."""

    scopes = {
        "list": "projects:read",
        "retrieve": "projects:read",
        "create": "projects:write",
        "update": "projects:write",
        "partial_update": "projects:write",
        "destroy": "projects:write",
    }
    lookup_value_converter = "uuid"
    serializer_class = ProjectSerializer
    filterset_fields = ["status", "created_by"]
    search_fields = ["name", "description"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "updated_at", "name"]

    def get_queryset(self) -> QuerySet[Project]:
        return Project.objects.all()

    def perform_create(self, serializer: serializers.BaseSerializer[Project]) -> None:
        serializer.save(created_by=callers.caller_id(self.request))


class TaskViewSet(viewsets.ModelViewSet[Task]):
    """The tenant's tasks."""

    scopes = {
        "list": "tasks:read",
        "retrieve": "tasks:read",
        "create": "tasks:write",
        "update": "tasks:write",
        "partial_update": "tasks:write",
        "destroy": "tasks:write",
    }
    lookup_value_converter = "uuid"
    serializer_class = TaskSerializer
    filterset_fields = ["project", "status", "assignee_id", "due_on"]
    search_fields = ["title"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "updated_at", "title"]

    def get_queryset(self) -> QuerySet[Task]:
        return Task.objects.all()

    def perform_create(self, serializer: serializers.BaseSerializer[Task]) -> None:
        serializer.save(created_by=callers.caller_id(self.request))


class TaskSummarySerializer(serializers.Serializer[dict[str, int]]):
    """How many tasks there are."""

    open = serializers.IntegerField()
    done = serializers.IntegerField()


@extend_schema(operation_id="tasks_summary", summary="Count tasks", responses=TaskSummarySerializer)
@require_scopes(GET="tasks:read")
def task_summary(request: Request) -> Response:
    """How many tasks are open, and how many are done."""
    counts = Task.objects.order_by().values_list("status").annotate(Count("id"))
    return Response({"open": 0, "done": 0} | dict(counts))
