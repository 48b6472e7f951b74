"""Probes: is the process alive, and can it serve?"""

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.problems import Unavailable
from identity.keys.selectors import key_ring


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
        """Answer when requests can be served: the database answers and there is a key to sign with; otherwise 503."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            _ = key_ring().active
        except (Error, ImproperlyConfigured) as error:
            raise Unavailable from error
        return Response({"status": "ok"})
