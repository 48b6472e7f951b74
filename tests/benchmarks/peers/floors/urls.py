"""What no peer can be below."""

from functools import cache
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.benchmarks.peers.calls import PASSWORD

_ROW = {"id": "0" * 36, "name": "Project 1", "description": "What it is about. " * 5, "status": "active"}
_SELECT = "SELECT id, name, description, status, created_by, created_at, updated_at FROM projects_project WHERE id = %s"


def django_view(request: HttpRequest) -> JsonResponse:
    """Return a row that is there already."""
    return JsonResponse(_ROW)


class DrfView(APIView):
    """The same through DRF."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = []
    throttle_classes: list[type] = []

    def get(self, request: Request) -> Response:
        return Response(_ROW)


class EnteringView(DrfView):
    """Enter a tenant and read one row of it, with nobody asking who is there."""

    def get(self, request: Request) -> Response:
        tenant_id, project_id = _first()
        with enter(tenant_id), connection.cursor() as cursor:
            cursor.execute(_SELECT, [project_id])
            row = cursor.fetchone()
            return Response(dict(zip([column.name for column in cursor.description], row, strict=True)))


def hash_view(request: HttpRequest) -> JsonResponse:
    """Compare a password with its hash: what a login cannot be below."""
    return JsonResponse({"right": check_password(PASSWORD, _hashed())})


@cache
def _hashed() -> str:
    return make_password(PASSWORD)


@cache
def _first() -> tuple[UUID, UUID]:
    tenant = Tenant.objects.get(slug="tenant-0")
    with enter(tenant.pk), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM projects_project LIMIT 1")
        return tenant.pk, cursor.fetchone()[0]


urlpatterns = [
    path("django", django_view),
    path("drf", DrfView.as_view()),
    path("entering", EnteringView.as_view()),
    path("hash", hash_view),
]
