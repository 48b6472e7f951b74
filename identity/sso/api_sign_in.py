"""``/api/v1/auth/discover`` and ``/api/v1/auth/sso/start``: how one signs in, and by a tenant's own provider."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts.models import normalize_email
from identity.oidc.serializers import BeginSerializer, BegunSerializer
from identity.sessions.proof import Way
from identity.sso import flow, selectors
from identity.sso.errors import NoConnection
from identity.sso.models import Connection
from identity.tokens.serializers import scope_field
from permissions.serializers import StrictSerializer
from tenants.registry import selectors as registry
from tenants.registry.names import SLUG_LENGTH
from tenants.routing.errors import TenantMismatch
from tenants.routing.middleware import tenant_of

_ADDRESS_LENGTH = 254


class AddressSerializer(StrictSerializer):
    """An address to sign in with."""

    email = serializers.CharField(max_length=_ADDRESS_LENGTH)


class ChoiceSerializer(serializers.Serializer[Any]):
    """A connection by which one signs in to its tenant."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    tenant = serializers.CharField(source="tenant.slug", help_text="Slug of the tenant.")


class DiscoveredSerializer(serializers.Serializer[Any]):
    """How one may sign in with an address at this domain."""

    ways = serializers.ListField(child=serializers.CharField(), help_text="Of `sso` and `password`; the best first.")
    connections = ChoiceSerializer(many=True)


class DiscoverView(APIView):
    """How one signs in."""

    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_discover",
        summary="Find out how to sign in",
        request=AddressSerializer,
        responses=DiscoveredSerializer,
        examples=[
            OpenApiExample(
                "A tenant's own provider",
                value={
                    "ways": ["sso", "password"],
                    "connections": [{"id": "7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10", "name": "Okta", "tenant": "marsh"}],
                },
                response_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Tell by which ways people with an address at this one's domain sign in: by the single sign-on of the tenant
        that has proved the domain, or by password. Nothing is said of the address itself.
        """
        serializer = AddressSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        found = selectors.connections_for(normalize_email(serializer.validated_data["email"]))
        ways = [Way.SSO, Way.PASSWORD] if found else [Way.PASSWORD]
        return Response(DiscoveredSerializer({"ways": ways, "connections": found}).data)


class WhichSerializer(StrictSerializer):
    """Which connection is meant: whose hosts count in what ``BeginSsoSerializer`` reads of the same body."""

    return_to = code_challenge = login_hint = scope = serializers.JSONField(required=False)
    email = serializers.CharField(max_length=_ADDRESS_LENGTH, required=False)
    tenant = serializers.CharField(max_length=SLUG_LENGTH, required=False)
    connection = serializers.UUIDField(required=False)


class BeginSsoSerializer(BeginSerializer):
    """Whose single sign-on, where to come back to, and how to know who began."""

    opens_one_tenant = True

    email = serializers.CharField(
        max_length=_ADDRESS_LENGTH, required=False, help_text="The tenant that has proved this address's domain."
    )
    tenant = serializers.CharField(max_length=SLUG_LENGTH, required=False, help_text="Slug of the tenant.")
    connection = serializers.UUIDField(required=False, help_text="Which of the tenant's, if it has several.")
    login_hint = serializers.CharField(
        max_length=_ADDRESS_LENGTH, required=False, help_text="What the provider is told of who comes; else `email`."
    )
    scope = scope_field()


class StartView(APIView):
    """The beginning of a sign-in by a tenant's own provider."""

    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_sso_start",
        summary="Begin to sign in by single sign-on",
        request=BeginSsoSerializer,
        responses=BegunSerializer,
        examples=[
            OpenApiExample(
                "By an address",
                value={
                    "email": "ada@marsh.example",
                    "return_to": "https://app.example.com/signed-in",
                    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Begin to sign in to the tenant of the host, else the one named, else the one that has proved the domain of
        the address; get the URL at its provider to send the browser to. It comes back to `return_to` with a `code`,
        which `/auth/federated` exchanges for tokens together with the `code_verifier`; or with an `error`.

        The tokens are good for that tenant alone, and change nothing of the person's own account.
        """
        connection = self._connection(request)
        context = {"tenant_id": connection.tenant_id}
        serializer = BeginSsoSerializer(data=request.data, context=context)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        url = flow.begin_sign_in(
            connection_id=connection.pk,
            return_to=values["return_to"],
            code_challenge=values["code_challenge"],
            scope=values.get("scope", ""),
            login_hint=values.get("login_hint") or values.get("email", ""),
        )
        return Response(BegunSerializer({"authorization_url": url}).data)

    def _connection(self, request: Request) -> Connection:
        which = WhichSerializer(data=request.data)
        which.is_valid(raise_exception=True)
        values, host = which.validated_data, tenant_of(request._request)
        if host is not None and values.get("tenant", host.slug) != host.slug:
            raise TenantMismatch
        if host is not None:
            found = list(selectors.usable_connections(host.id))
        elif "tenant" in values:
            tenant = registry.tenant_by_slug(values["tenant"])
            found = list(selectors.usable_connections(tenant.pk)) if tenant else []
        elif "email" in values:
            found = selectors.connections_for(normalize_email(values["email"]))
        else:
            raise serializers.ValidationError({"email": ["Name an address or a tenant."]}, code="required")
        chosen = [row for row in found if values.get("connection", row.pk) == row.pk]
        if not chosen:
            raise NoConnection
        return chosen[0]
