"""Probes, and metrics: is the process alive, can it serve, and how does it do?"""

import hmac
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import metrics
from config.metrics_of_database import DatabaseCollector
from config.problems import MigrationsBehind, NoSigningKey, Unavailable
from identity.keys.selectors import key_ring
from identity.tokens.authentication import bearer_token
from identity.tokens.errors import InvalidToken
from tenants.context import entrances


class HealthSerializer(serializers.Serializer[None]):
    status = serializers.CharField()


class LiveView(APIView):
    """Liveness."""

    @extend_schema(
        operation_id="health_live", summary="Is the process alive?", responses=HealthSerializer, tags=["health"]
    )
    def get(self, request: Request) -> Response:
        """Answer as long as the process can answer anything; depends on nothing else."""
        return Response({"status": "ok"})


class ReadyView(APIView):
    """Readiness."""

    @extend_schema(operation_id="health_ready", summary="Can it serve?", responses=HealthSerializer, tags=["health"])
    def get(self, request: Request) -> Response:
        """Answer when requests can be served; otherwise 503, whose `code` says why.

        `unavailable`: the database does not answer. `migrations_behind`: the shared schema lacks migrations of this
        version of the code; tenants that are behind do not count. `no_signing_key`: no key signs tokens.
        """
        try:
            _ask_database()
        except (Error, ImproperlyConfigured) as error:
            raise Unavailable from error
        try:
            _ = key_ring().active
        except Error as error:
            raise Unavailable from error
        except ImproperlyConfigured as error:
            raise NoSigningKey from error
        return Response({"status": "ok"})


class MetricsView(APIView):
    """Metrics."""

    @extend_schema(
        operation_id="metrics",
        summary="Read metrics",
        responses={(200, "text/plain"): OpenApiTypes.STR},
        tags=["health"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Answer in Prometheus' text format whoever sends the deployment's metrics token as a bearer token; 401 without
        it, and 404 where no token is set. Development asks for none.
        """
        _check_reader(request)
        return HttpResponse(metrics.exposition(database), content_type=metrics.CONTENT_TYPE)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002 -- DRF's
        """Let whoever reads metrics accept what they will: a problem is JSON all the same."""
        return super().perform_content_negotiation(request, force=True)


database = DatabaseCollector()
_has_migrations = False  # found once: neither the code nor what was migrated goes back while this process lives


def forget() -> None:
    """Read again what was remembered (for tests)."""
    global _has_migrations  # noqa: PLW0603 -- as above
    _has_migrations = False
    database.forget()


def _check_reader(request: Request) -> None:
    if not settings.METRICS_TOKEN:
        if settings.IN_DEVELOPMENT:
            return
        raise NotFound
    given = bearer_token(request)
    if given is None:
        raise NotAuthenticated
    if not hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
        raise InvalidToken


def _ask_database() -> None:
    """Ask the database whether it is there, and until it has been so once, whether it has all shared migrations.

    Raises:
        Error, ImproperlyConfigured: it cannot be used.
        MigrationsBehind: it has not.
    """
    global _has_migrations  # noqa: PLW0603 -- as above
    if _has_migrations:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    if not _shared_migrations() <= MigrationRecorder(connection).applied_migrations().keys():
        raise MigrationsBehind
    if not entrances.are_made():  # they are made when everything is migrated
        raise MigrationsBehind
    _has_migrations = True


@lru_cache(maxsize=1)
def _shared_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of the shared apps in this version of the code."""
    shared = {app.label for app in apps.get_app_configs() if app.name in settings.SHARED_APPS}
    return frozenset(key for key in MigrationLoader(None).graph.nodes if key[0] in shared)
