"""``/operator/v1/tenants/{id}``: the later life of a tenant."""

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from operators import lifecycle
from operators.api_jobs import JobSerializer
from operators.api_tenants import OperatorTenantSerializer
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


class LifecycleViewSet(viewsets.GenericViewSet[Tenant]):
    """The later life of one tenant of the platform."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "archive": Scope.PLATFORM_TENANTS_WRITE,
        "restore": Scope.PLATFORM_TENANTS_WRITE,
        "export": Scope.PLATFORM_EXPORTS_WRITE,
        "clone": Scope.PLATFORM_EXPORTS_WRITE,
        "confirm_restore": Scope.PLATFORM_EXPORTS_WRITE,
        "undo_restore": Scope.PLATFORM_EXPORTS_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"archive", "export", "clone", "confirm_restore", "undo_restore"}
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

    @extend_schema(
        operation_id="tenants_confirm_restore",
        summary="Confirm a restore in place",
        request=None,
        responses={202: JobSerializer},
    )
    def confirm_restore(self, request: Request, pk: UUID) -> Response:
        """Delete the data that a restore in place put aside. Nothing brings it back then."""
        job = lifecycle.request_confirmation(tenant_id=pk, by=callers.caller_id(request))
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="tenants_undo_restore",
        summary="Undo a restore in place",
        request=None,
        responses={202: JobSerializer},
    )
    def undo_restore(self, request: Request, pk: UUID) -> Response:
        """Bring back the data that a restore in place put aside. What was restored is put aside in its turn, until
        somebody confirms.
        """
        job = lifecycle.request_undo(tenant_id=pk, by=callers.caller_id(request))
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
