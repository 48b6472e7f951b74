"""``/oauth/{token,introspect,revoke}`` and ``/.well-known/oauth-authorization-server``.

The same services as everywhere, in the terms of OAuth, so that standard clients need nothing of ours.

Errors are RFC 6749's (``error``, ``error_description``) and problem details in one object.
"""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.clients import services as clients
from identity.clients.models import Client
from identity.keys import selectors as keys
from identity.oauth import grants
from identity.oauth.client_authentication import form_of, machine_of, required_machine_of
from identity.oauth.errors import InvalidClient, UnauthorizedClient, UnsupportedGrantType
from identity.oauth.parsers import StrictFormParser
from identity.oauth.serializers import (
    GrantSerializer,
    IntrospectionSerializer,
    MetadataSerializer,
    OAuthTokensSerializer,
    TokenFormSerializer,
)
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason
from identity.tokens import services as tokens
from identity.tokens.api import NO_STORE
from identity.tokens.backends import BearerBackend
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidRequest, InvalidToken
from permissions import policy, scopes

_FORM = "application/x-www-form-urlencoded"
_METADATA_SECONDS = 300
_WITH_SECRET = ["client_secret_basic", "client_secret_post"]


class OAuthView(APIView):
    """An endpoint that speaks OAuth: a form comes in, and errors have OAuth's members too."""

    speaks_oauth = True
    parser_classes = [StrictFormParser]
    throttles = {"POST": "token"}


class TokenView(OAuthView):
    """The token endpoint."""

    @extend_schema(
        operation_id="oauth_token",
        summary="Get tokens (OAuth)",
        request={_FORM: GrantSerializer},
        responses=OAuthTokensSerializer,
        tags=["oauth"],
    )
    def post(self, request: Request) -> Response:
        """The token endpoint of OAuth 2.0 (RFC 6749 section 3.2).

        `client_credentials`: a machine client gets a token for its tenant; it says who it is by HTTP Basic or in the
        body. `refresh_token`: as `/api/v1/auth/refresh`. Token exchange (RFC 8693): as `/api/v1/auth/switch`, with a
        person's access token as `subject_token` and the other tenant's slug as `audience`.
        """
        form = form_of(request)
        client = machine_of(request)
        name = form.get("grant_type")
        if name is None:
            raise InvalidRequest("The parameter grant_type is missing.")
        grant = grants.GRANTS.get(name)
        if grant is None:
            raise UnsupportedGrantType
        return Response(grant(request, form, client), headers=NO_STORE)


class IntrospectView(OAuthView):
    """The introspection endpoint."""

    @extend_schema(
        operation_id="oauth_introspect",
        summary="Look at a token (OAuth)",
        request={_FORM: TokenFormSerializer},
        responses=IntrospectionSerializer,
        tags=["oauth"],
    )
    def post(self, request: Request) -> Response:
        """Tell a machine client what an access token of its own tenant says, if all of it is true now (RFC 7662).

        Anything else, such as an expired or revoked token, one of another tenant, or a refresh token, is
        `{"active": false}`.
        """
        client = required_machine_of(request)
        claims = _live_claims(_token(request), client)
        body = {"active": False} if claims is None else {"active": True, "token_type": "Bearer", **claims.to_payload()}
        return Response(body, headers=NO_STORE)


class RevokeView(OAuthView):
    """The revocation endpoint."""

    @extend_schema(
        operation_id="oauth_revoke",
        summary="Revoke a token (OAuth)",
        request={_FORM: TokenFormSerializer},
        responses={200: None},
        tags=["oauth"],
    )
    def post(self, request: Request) -> Response:
        """Revoke a token and all that stands on the same grant (RFC 7009): a person's token ends their session, a
        machine client's ends all tokens it has. It holds from the next request on. A token that is no good any more is
        no error.
        """
        client, text = machine_of(request), _token(request)
        tokens.sign_out(text=text, api=Api.TENANT, reason=EndReason.REVOKED)
        claims = _genuine_claims(text)
        if claims is None:
            return Response(headers=NO_STORE)
        if claims.sign_in is not None:
            sessions.end_session(session_id=claims.sign_in.sid, reason=EndReason.REVOKED)
        elif client is None:
            raise InvalidClient
        elif claims.sub != client.pk:
            raise UnauthorizedClient("This token is another client's.")
        else:
            clients.revoke_tokens(client_id=client.pk)
        return Response(headers=NO_STORE)


class MetadataView(APIView):
    """What this authorization server can do."""

    @extend_schema(
        operation_id="oauth_metadata",
        summary="OAuth metadata",
        responses=MetadataSerializer,
        tags=["well-known"],
    )
    def get(self, request: Request) -> Response:
        """Where the OAuth endpoints are and what they take (RFC 8414)."""
        headers = {"Cache-Control": f"public, max-age={_METADATA_SECONDS}"}
        return Response(_metadata(), headers=headers)


def _metadata() -> dict[str, Any]:
    base = settings.ISSUER
    return {
        "issuer": base,
        "token_endpoint": f"{base}/oauth/token",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "service_documentation": f"{base}/docs",
        "response_types_supported": [],  # required by RFC 8414, and there is no authorization endpoint
        "grant_types_supported": list(grants.GRANTS),
        "scopes_supported": [scope for scope in policy.table() if not scopes.is_operator_scope(scope)],
        "token_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
        "introspection_endpoint_auth_methods_supported": _WITH_SECRET,
        "revocation_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
    }


def _token(request: Request) -> str:
    text = form_of(request).get("token")
    if text is None:
        raise InvalidRequest("The parameter token is missing.")
    return text


def _genuine_claims(text: str) -> Claims | None:
    """Return what a token of ours says, true or not any more; whoever has a retired key revokes nothing with it."""
    try:
        token = BearerBackend().read(text)
    except InvalidToken:
        return None
    return token.claims if keys.is_usable(token.kid) else None


def _live_claims(text: str, client: Client) -> Claims | None:
    try:
        claims = BearerBackend().introspect(text)
    except APIException:
        return None
    return claims if claims.tenant_id == client.tenant_id else None
