"""``POST /api/v1/invitations/accept``: joining a tenant. It is here because it reads a token where there is one."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as RuleBroken
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts.api import password_field, weak_password
from identity.invitations import services
from identity.tokens.authentication import bearer_token
from identity.tokens.backends import BearerBackend
from permissions import scopes
from permissions.errors import InsufficientScope
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.audit.acting import identify
from tenants.routing.middleware import tenant_of

_TOKEN_LENGTH = 200


class AcceptSerializer(StrictSerializer):
    """An invitation's token, and a password for whoever is not signed in."""

    token = serializers.CharField(max_length=_TOKEN_LENGTH, write_only=True, help_text="From the invitation's mail.")
    password = password_field(required=False)
    name = serializers.CharField(max_length=120, required=False, allow_blank=True, default="", write_only=True)


class AcceptedSerializer(serializers.Serializer[Any]):
    """What one has joined."""

    email = serializers.EmailField()
    tenant = serializers.CharField(source="tenant.slug", help_text="Slug of the tenant: sign in there.")
    tenant_name = serializers.CharField(source="tenant.name")


class AcceptInvitationView(APIView):
    """Joining."""

    throttles = {"POST": "registration"}

    @extend_schema(
        operation_id="invitations_accept",
        summary="Accept an invitation",
        request=AcceptSerializer,
        responses={201: AcceptedSerializer},
        examples=[
            OpenApiExample(
                "Somebody new",
                {"token": "ti_...", "password": "lantern gravel teapot", "name": "Vera"},
                request_only=True,
            ),
            OpenApiExample("Signed in", {"token": "ti_..."}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Join a tenant by the token of an invitation's mail. It is good once.

        Signed in (a bearer token with `tenants:write`), only the account with the invited address can
        (`invited_another`). Not signed in, the token proves the address: where it has no account yet, one is made with
        `password` and `name`; an account that is there stays as it is. The answer is the same. Sign in afterwards.
        """
        serializer = AcceptSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        person = self._caller(request)
        if person is None and "password" not in values:
            message = serializers.ErrorDetail("Choose a password, or sign in first.", code="required")
            raise serializers.ValidationError({"password": [message]})
        host = tenant_of(request._request)
        try:
            invitation = services.accept(
                text=values["token"],
                host_tenant_id=host.id if host else None,
                person=person,
                password=values.get("password", ""),
                name=values["name"],
            )
        except RuleBroken as error:
            raise weak_password("password", error)  # noqa: B904 -- the cause says nothing more
        return Response(AcceptedSerializer(invitation).data, status=status.HTTP_201_CREATED)

    def _caller(self, request: Request) -> UUID | None:
        raw = bearer_token(request)
        if raw is None:
            return None
        principal = BearerBackend().inspect(request._request, raw)
        if not scopes.holds(principal.scopes, Scope.TENANTS_WRITE):
            raise InsufficientScope(frozenset({Scope.TENANTS_WRITE}))
        identify(principal)
        return principal.id
