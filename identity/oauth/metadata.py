"""``/.well-known/{oauth-authorization-server,openid-configuration}``: what this server can do, and no more."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.keys import selectors as keys
from identity.oauth import grants
from identity.oauth.authorization import PROMPTS
from identity.oauth.serializers import MetadataSerializer, OpenIdMetadataSerializer
from identity.tokens import openid
from permissions import policy, scopes

_SECONDS = 300
_WITH_SECRET = ["client_secret_basic", "client_secret_post"]


class _PublishedView(APIView):
    def answer(self, document: dict[str, Any]) -> Response:
        return Response(document, headers={"Cache-Control": f"public, max-age={_SECONDS}"})


class MetadataView(_PublishedView):
    """What this authorization server can do."""

    @extend_schema(
        operation_id="oauth_metadata",
        summary="OAuth metadata",
        responses=MetadataSerializer,
        tags=["well-known"],
    )
    def get(self, request: Request) -> Response:
        """Where the OAuth endpoints are and what they take (RFC 8414)."""
        return self.answer(_oauth())


class OpenIdMetadataView(_PublishedView):
    """What this OpenID provider can do."""

    @extend_schema(
        operation_id="openid_metadata",
        summary="OpenID Connect metadata",
        responses=OpenIdMetadataSerializer,
        tags=["well-known"],
    )
    def get(self, request: Request) -> Response:
        """The same, for clients of OpenID Connect (OpenID Connect Discovery section 3)."""
        return self.answer(_oauth() | _openid())


def _oauth() -> dict[str, Any]:
    base = settings.ISSUER
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "service_documentation": f"{base}/docs",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(grants.GRANTS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": [
            *openid.SCOPES,
            *(scope for scope in policy.table() if not scopes.is_operator_scope(scope)),
        ],
        "token_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
        "introspection_endpoint_auth_methods_supported": _WITH_SECRET,
        "revocation_endpoint_auth_methods_supported": [*_WITH_SECRET, "none"],
    }


def _openid() -> dict[str, Any]:
    return {
        "userinfo_endpoint": f"{settings.ISSUER}/oauth/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({str(key.algorithm) for key in keys.published_keys()}),
        "claims_supported": list(openid.CLAIMS),
        "prompt_values_supported": list(PROMPTS),
        # Silence about the last two would mean yes.
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
