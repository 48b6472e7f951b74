"""``/operator/v1/exports``: files with all of a tenant."""

from typing import ClassVar
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from operators import lifecycle
from operators.api_jobs import JobSerializer
from operators.backends import OperatorAuthentication
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.registry.names import SLUG_LENGTH, validate_slug


class RestoreSerializer(StrictSerializer):
    """Where to."""

    slug = serializers.CharField(
        max_length=SLUG_LENGTH,
        validators=[validate_slug],
        default=None,
        allow_null=True,
        help_text="Of the new tenant; null puts the data in place of the tenant's present data.",
    )
    name = serializers.CharField(
        max_length=120, default=None, allow_null=True, help_text="Of the new tenant; null: as it was."
    )


class ExportViewSet(viewsets.ViewSet):
    """Files with all of a tenant."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"retrieve": Scope.PLATFORM_EXPORTS_READ, "restore": Scope.PLATFORM_EXPORTS_WRITE}
    recent_sign_in: ClassVar[set[str]] = {"retrieve", "restore"}

    @extend_schema(
        operation_id="exports_retrieve",
        summary="Download an export",
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def retrieve(self, request: Request, pk: UUID) -> FileResponse:
        """The file that an export wrote, as a stream. Each download is in the tenant's audit trail."""
        path = lifecycle.fetch_export(export_id=pk)
        return FileResponse(path.open("rb"), as_attachment=True, filename=path.name, content_type="application/zip")

    @extend_schema(
        operation_id="exports_restore",
        summary="Restore an export",
        request=RestoreSerializer,
        responses={202: JobSerializer},
        examples=[OpenApiExample("Beside the live one", value={"slug": "acme-before"}, request_only=True)],
    )
    def restore(self, request: Request, pk: UUID) -> Response:
        """Make a tenant of an export under a slug of its own; or, without a slug, put its data in place of the tenant's
        present data, which is kept until somebody confirms.
        """
        serializer = RestoreSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        job = lifecycle.request_restore(export_id=pk, by=callers.caller_id(request), **serializer.validated_data)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
