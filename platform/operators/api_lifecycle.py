"""``/operator/v1/tenants/{id}``: the later life of a tenant."""

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from operators import lifecycle
from operators.api import OperatorTenantSerializer
from operators.api_jobs import JobSerializer
from operators.backends import OperatorAuthentication
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.lifecycle import deletion
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant
from tenants.registry.names import SLUG_LENGTH, validate_slug


class CloneSerializer(StrictSerializer):
    """What the copy is called, and what comes along."""

    slug = serializers.CharField(max_length=SLUG_LENGTH, validators=[validate_slug])
    name = serializers.CharField(max_length=120)
    with_data = serializers.BooleanField(default=True, help_text="Copy the rows, too; else the copy is empty.")
    with_members = serializers.BooleanField(
        default=False, help_text="Its members are members of the copy; else whoever asks for it owns it."
    )


@extend_schema_view(retrieve=extend_schema(operation_id="tenants_retrieve", summary="See a tenant"))
class LifecycleViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet[Tenant]):
    """One tenant of the platform."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "retrieve": Scope.PLATFORM_TENANTS_READ,
        "archive": Scope.PLATFORM_TENANTS_WRITE,
        "restore": Scope.PLATFORM_TENANTS_WRITE,
        "destroy": Scope.PLATFORM_TENANTS_WRITE,
        "export": Scope.PLATFORM_EXPORTS_WRITE,
        "clone": Scope.PLATFORM_EXPORTS_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"archive", "destroy", "export", "clone"}
    serializer_class = OperatorTenantSerializer

    def get_queryset(self) -> QuerySet[Tenant]:
        return registry.tenants()

    @extend_schema(operation_id="tenants_archive", summary="Archive a tenant", request=None)
    def archive(self, request: Request, pk: UUID) -> Response:
        """Put a tenant away: its members are refused from their next request on, and all of it is kept. Archiving it
        twice changes nothing.
        """
        return Response(self.get_serializer(deletion.archive_tenant(tenant_id=pk)).data)

    @extend_schema(operation_id="tenants_restore", summary="Bring an archived tenant back", request=None)
    def restore(self, request: Request, pk: UUID) -> Response:
        """Bring back a tenant that was archived, or is to be deleted and has not begun to be. Its members' tokens and
        sessions are good as before.
        """
        return Response(self.get_serializer(deletion.unarchive_tenant(tenant_id=pk)).data)

    @extend_schema(operation_id="tenants_destroy", summary="Delete a tenant", responses={202: OperatorTenantSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Archive a tenant, to be deleted for good at `delete_at`: until then it can be brought back. Asking again does
        not move the day.
        """
        tenant = deletion.schedule_deletion(tenant_id=pk)
        return Response(self.get_serializer(tenant).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="tenants_export", summary="Export a tenant", request=None, responses={202: JobSerializer}
    )
    def export(self, request: Request, pk: UUID) -> Response:
        """Write all of a tenant into one file, as it is at one moment, while it serves. When the job has succeeded, the
        file is at `/operator/v1/exports/{id}` with the job's id, for a while.
        """
        job = lifecycle.request_export(tenant_id=pk, by=callers.caller_id(request))
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="tenants_clone",
        summary="Copy a tenant",
        request=CloneSerializer,
        responses={202: JobSerializer},
        examples=[OpenApiExample("A sandbox", value={"slug": "acme-trial", "name": "Acme trial"}, request_only=True)],
    )
    def clone(self, request: Request, pk: UUID) -> Response:
        """Make a tenant like this one, to try something in: its settings and roles and, unless `with_data` is false,
        its rows. The new tenant's id is in the job's `result`.
        """
        serializer = CloneSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        job = lifecycle.request_clone(tenant_id=pk, by=callers.caller_id(request), **serializer.validated_data)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
