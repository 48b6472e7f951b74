"""``/operator/v1/fleet``: which version each tenant's tables are of, and migrating them."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from operators import lifecycle, selectors
from operators.api_jobs import JobSerializer
from operators.backends import OperatorAuthentication
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.fleet.models import FleetEntry, FleetRun
from tenants.fleet.status import TenantState
from tenants.registry.names import SLUG_LENGTH


class UnwellSerializer(serializers.Serializer[TenantState]):
    """A tenant that needs something."""

    slug = serializers.CharField()
    schema_name = serializers.CharField()
    status = serializers.CharField()
    version = serializers.CharField()
    behind = serializers.ListField(child=serializers.CharField(), help_text="Migrations that it has yet to get.")
    is_drifted = serializers.BooleanField(
        allow_null=True, help_text="Its tables are not what its version's are; null while it is behind."
    )
    failure = serializers.CharField(help_text="What stopped its last migration.")


class FleetSerializer(serializers.Serializer[selectors.Fleet]):
    """Where the tenants stand."""

    tenants = serializers.IntegerField()
    behind = serializers.IntegerField()
    drifted = serializers.IntegerField()
    failed = serializers.IntegerField()
    unwell = UnwellSerializer(many=True, help_text="The first hundred of those that need something, by slug.")


class MigrationSerializer(StrictSerializer):
    """Whom to begin with."""

    canaries = serializers.ListField(
        child=serializers.CharField(max_length=SLUG_LENGTH),
        default=list,
        max_length=100,
        help_text="Slugs of tenants that go first. If one of them fails, the others are left as they are.",
    )


class FleetViewSet(viewsets.ViewSet):
    """All tenants' tables."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "retrieve": Scope.PLATFORM_FLEET_READ,
        "migrate": Scope.PLATFORM_FLEET_WRITE,
        "retry": Scope.PLATFORM_FLEET_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"migrate", "retry"}

    @extend_schema(operation_id="fleet_retrieve", summary="See where the tenants stand", responses=FleetSerializer)
    def retrieve(self, request: Request) -> Response:
        """How many tenants there are, how many of them are behind, differ from their version or failed to be migrated,
        and which.
        """
        return Response(FleetSerializer(selectors.fleet()).data)

    @extend_schema(
        operation_id="fleet_migrate",
        summary="Migrate all tenants",
        request=MigrationSerializer,
        responses={202: JobSerializer},
        examples=[OpenApiExample("One first", value={"canaries": ["acme"]}, request_only=True)],
    )
    def migrate(self, request: Request) -> Response:
        """Bring every tenant that is behind to the newest migrations, each in a transaction of its own. Those that
        failed are in the job's `result`; the others are done all the same.
        """
        serializer = MigrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        job = lifecycle.request_migration(by=callers.caller_id(request), **serializer.validated_data)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="fleet_retry", summary="Migrate failed tenants again", request=None, responses={202: JobSerializer}
    )
    def retry(self, request: Request) -> Response:
        """Migrate those tenants again whose last migration failed, once what stopped them is out of the way."""
        job = lifecycle.request_retry(by=callers.caller_id(request))
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class FleetRunSerializer(serializers.ModelSerializer[FleetRun]):
    """A run over the fleet."""

    class Meta:
        model = FleetRun
        fields = ["id", "target", "state", "tenants", "done", "failed", "started_at", "finished_at"]
        read_only_fields = fields
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "target": {"help_text": "The version that tenants are brought to."},
            "state": {"help_text": "`running`, too, while it is paused, or was killed and not taken up yet."},
            "tenants": {"help_text": "How many were behind when it began."},
        }

    done = serializers.IntegerField(read_only=True, help_text="Tenants that are through.")
    failed = serializers.IntegerField(read_only=True, help_text="Tenants that were stopped.")


@extend_schema_view(list=extend_schema(operation_id="fleet_runs", summary="List fleet migrations"))
class FleetRunViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[FleetRun]):
    """Runs over the fleet, the newest first; the last fifty are kept."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"list": Scope.PLATFORM_FLEET_READ}
    serializer_class = FleetRunSerializer
    filterset_fields = ["state"]
    ordering = ["-started_at"]
    ordering_fields = ["started_at"]

    def get_queryset(self) -> QuerySet[FleetRun]:
        return selectors.fleet_runs()


class FleetTenantSerializer(serializers.ModelSerializer[FleetEntry]):
    """How a tenant's last migration went."""

    slug = serializers.CharField(read_only=True)
    run_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = FleetEntry
        fields = [
            "tenant_id", "slug", "schema_name", "state", "error", "attempts", "from_version", "to_version", "run_id",
            "milliseconds", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_view(list=extend_schema(operation_id="fleet_tenants", summary="List tenants by their last migration"))
class FleetTenantViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[FleetEntry]):
    """How each tenant fared in the last fleet migration that was about it. `state=failed` are those to look after."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"list": Scope.PLATFORM_FLEET_READ}
    serializer_class = FleetTenantSerializer
    filterset_fields = ["state", "tenant_id"]
    search_fields = ["slug"]
    ordering = ["-finished_at"]
    ordering_fields = ["finished_at"]

    def get_queryset(self) -> QuerySet[FleetEntry]:
        return selectors.last_fleet_entries()
