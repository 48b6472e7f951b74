"""``/api/v1/sso-connections/{id}/test`` and what came of it."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.oidc import attempts
from identity.oidc.serializers import BeginSerializer, CodeSerializer
from identity.sso import flow, selectors, trials
from identity.sso.models import Connection
from permissions import callers
from permissions.scopes import Scope


class TestSerializer(BeginSerializer):
    """Where to come back to from a trial, and how to know who began it; neither for the checks alone."""

    opens_one_tenant = True

    def get_fields(self) -> dict[str, Any]:
        """Return the same fields, none of them needed."""
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse one without the other."""
        if len(attrs) == 1:
            missing = next(iter(self.fields.keys() - attrs.keys()))
            raise serializers.ValidationError({missing: ["A trial takes both."]}, code="required")
        return attrs


class CheckSerializer(serializers.Serializer[Any]):
    """One thing that was looked at."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class TestedSerializer(serializers.Serializer[Any]):
    """What is right and wrong with what the provider publishes."""

    ok = serializers.BooleanField(help_text="All checks went well.")
    checks = CheckSerializer(many=True)
    authorization_url = serializers.CharField(
        allow_null=True, help_text="Where to send the browser for the trial, if one was asked for and can be."
    )


class TrialSerializer(serializers.Serializer[Any]):
    """What a trial has shown, and what a sign-in would have led to."""

    passed = serializers.BooleanField(source="is_passed", help_text="The connection may be enabled as it is.")
    subject = serializers.CharField(source="told.subject")
    email = serializers.CharField(source="told.email", help_text="Empty if the provider sent none that could be.")
    is_vouched_for = serializers.BooleanField(source="told.is_vouched_for", help_text="It counts as verified.")
    groups = serializers.ListField(source="told.groups", child=serializers.CharField())
    role = serializers.CharField(source="foreseen.role", allow_null=True, help_text="As what they would come in.")
    joins = serializers.BooleanField(source="foreseen.joins", help_text="They would become a member by it.")
    refusal = serializers.SerializerMethodField(help_text="Code of the problem in which it would end; null for none.")
    refusal_detail = serializers.SerializerMethodField()
    claims = serializers.JSONField(help_text="All that the provider said of them. It is kept nowhere.")

    def get_refusal(self, trial: trials.Trial) -> str | None:
        return str(trial.refusal.default_code) if trial.refusal else None

    def get_refusal_detail(self, trial: trials.Trial) -> str | None:
        return str(trial.refusal.detail) if trial.refusal else None


def _connection(request: Request, pk: UUID) -> Connection:
    """Return a connection of the caller's tenant, with its secret.

    Raises:
        Connection.DoesNotExist: the tenant has no such connection.
    """
    connection = selectors.connection_to_use(pk)
    if connection.tenant_id != callers.tenant_id(request):
        raise Connection.DoesNotExist
    return connection


class TestConnectionView(APIView):
    """Testing a connection. It works from outside the tenant: none is kept entered while the provider is asked."""

    enters_tenant = False
    scopes = {"POST": Scope.SSO_WRITE}
    recent_sign_in = {"POST"}
    throttles = {"POST": "connection_tests"}

    @extend_schema(
        operation_id="sso_connections_test",
        summary="Test a connection",
        request=TestSerializer,
        responses=TestedSerializer,
        examples=[
            OpenApiExample(
                "With a trial",
                value={
                    "return_to": "https://app.example.com/settings/sso",
                    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Look at what the provider publishes. With `return_to` and `code_challenge`, where that is in order, begin a
        trial too: send the browser to `authorization_url`, sign in there, and take the `code` with which it comes back
        to `test/result`. Nobody is signed in by it.
        """
        serializer = TestSerializer(data=request.data, context={"tenant_id": callers.tenant_id(request)})
        serializer.is_valid(raise_exception=True)
        connection = _connection(request, pk)
        checks = trials.look_at(flow.provider_of(connection))
        is_fine = all(check.ok for check in checks)
        url = None
        if is_fine and serializer.validated_data:
            by = callers.caller_id(request)
            url = flow.begin_trial(connection=connection, by=by, **serializer.validated_data)
        return Response(TestedSerializer({"ok": is_fine, "checks": checks, "authorization_url": url}).data)


class TrialResultView(APIView):
    """What came of a trial. It works from outside the tenant, as signing in does."""

    enters_tenant = False
    scopes = {"POST": Scope.SSO_WRITE}
    recent_sign_in = {"POST"}

    @extend_schema(
        operation_id="sso_connections_test_result",
        summary="See what came of a trial",
        request=CodeSerializer,
        responses=TrialSerializer,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """See what the provider said of who signed in on trial, and what a sign-in would have led to: a role, or why
        nowhere. If the connection is in order, whoever tried it, it may be enabled.
        """
        serializer = CodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        connection = _connection(request, pk)
        outcome = attempts.take(**serializer.validated_data, kinds=(flow.TRIAL,))
        trial = trials.complete(connection=connection, by=callers.caller_id(request), outcome=outcome)
        return Response(TrialSerializer(trial).data)
