"""``/oauth/{token,introspect,revoke}``.

The same services as everywhere, in the terms of OAuth, so that standard clients need nothing of ours.

Errors are RFC 6749's (``error``, ``error_description``) and problem details in one object.
"""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.applications.models import Application
from identity.clients import services as clients
from identity.clients.models import Client
from identity.keys import selectors as keys
from identity.oauth import grants
from identity.oauth.client_authentication import caller_of, form_of, proved_caller_of
from identity.oauth.errors import InvalidClient, UnauthorizedClient, UnsupportedGrantType
from identity.oauth.parsers import StrictFormParser
from identity.oauth.serializers import (
    GrantSerializer,
    IntrospectionSerializer,
    OAuthTokensSerializer,
    TokenFormSerializer,
)
from identity.sessions import selectors as sign_ins
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason
from identity.sessions.rotation import session_of_refresh_token
from identity.tokens.api import NO_STORE
from identity.tokens.backends import BearerBackend
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidRequest, InvalidToken

_FORM = "application/x-www-form-urlencoded"


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

        `authorization_code`: an application gets what a person has let it have at `/oauth/authorize`, once, with the
        `code_verifier` of its PKCE challenge (RFC 7636). `client_credentials`: a machine client gets a token for its
        tenant. Both say who they are by HTTP Basic or in the body; an application that keeps no secret names its
        `client_id`. `refresh_token`: as `/api/v1/auth/refresh`; one of an application is for it alone. Token exchange
        (RFC 8693): as `/api/v1/auth/switch`, with a person's access token as `subject_token` and the other tenant's
        slug as `audience`.
        """
        form = form_of(request)
        caller = caller_of(request)
        name = form.get("grant_type")
        if name is None:
            raise InvalidRequest("The parameter grant_type is missing.")
        grant = grants.GRANTS.get(name)
        if grant is None:
            raise UnsupportedGrantType
        return Response(grant(request, form, caller), headers=NO_STORE)


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
        """Tell a machine client what an access token of its own tenant says, if all of it is true now (RFC 7662); and
        an application, what one of its own says.

        Anything else, such as an expired or revoked token, one of another tenant, or a refresh token, is
        `{"active": false}`.
        """
        caller = proved_caller_of(request)
        claims = _live_claims(_token(request), caller)
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
        no error. An application's tokens are revoked by itself.
        """
        caller, text = caller_of(request), _token(request)
        session_id = session_of_refresh_token(text=text, api=Api.TENANT)
        claims = _genuine_claims(text) if session_id is None else None
        if claims is not None and claims.sign_in is not None:
            session_id = claims.sign_in.sid
        if session_id is not None:
            _refuse_others(caller, sign_ins.application_of(session_id))
            sessions.end_session(session_id=session_id, reason=EndReason.REVOKED)
        elif claims is not None:
            _refuse_others(caller, claims.sub)
            clients.revoke_tokens(client_id=claims.sub)
        return Response(headers=NO_STORE)


def _refuse_others(caller: Client | Application | None, owner: UUID | None) -> None:
    """Refuse whoever is not the client, or the application, whose token it is; ours are anybody's to revoke."""
    if owner is None:
        return
    if caller is None:
        raise InvalidClient
    if caller.pk != owner:
        raise UnauthorizedClient("This token is another client's.")


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


def _live_claims(text: str, caller: Client | Application) -> Claims | None:
    try:
        claims = BearerBackend().introspect(text)
    except APIException:
        return None
    if isinstance(caller, Client):
        return claims if claims.tenant_id == caller.tenant_id else None
    return claims if claims.application_id == caller.pk else None
