"""``/auth/sso``: what providers ask, and where they send people."""

from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.http import HttpResponseRedirect
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.oidc.callbacks import CallbackView
from identity.oidc.client import Answer, read_logout_token
from identity.oidc.models import Attempt
from identity.sso import flow, logout, selectors
from identity.sso.addresses import sign_in_page
from identity.sso.admission import Told
from identity.sso.errors import InvalidLogoutToken, NoConnection
from identity.sso.models import Connection

_FORM = "application/x-www-form-urlencoded"
_LARGEST = 128 * 1024
_NO_STORE = {"Cache-Control": "no-store"}


class SsoCallbackView(CallbackView):
    """Where tenants' providers send browsers back to."""

    kinds = (flow.SIGN_IN, flow.TRIAL)

    def outcome(self, attempt: Attempt, answer: Answer) -> dict[str, Any]:
        """Return what the provider says of who came; of a trial, all of it."""
        connection, identity = flow.identify(attempt, answer)
        told = flow.to_json(Told.of(connection, identity))
        return {"told": told, "claims": identity.claims} if attempt.kind == flow.TRIAL else told


class LogoutFormParser(BaseParser):
    """The form with a logout token (Back-Channel Logout 1.0 section 2.5)."""

    media_type = _FORM

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Return the fields.

        Raises:
            InvalidLogoutToken: it is no such form.
        """
        body: bytes = stream.read(_LARGEST + 1)
        try:
            pairs = parse_qsl(body.decode("ascii"), max_num_fields=10)
        except ValueError:
            raise InvalidLogoutToken from None
        if len(body) > _LARGEST or len(dict(pairs)) != len(pairs):
            raise InvalidLogoutToken
        return dict(pairs)


class LogoutTokenSerializer(serializers.Serializer[Any]):
    """That a session at the provider is over."""

    logout_token = serializers.CharField()


class BackchannelLogoutView(APIView):
    """Where a provider says that a session there is over."""

    parser_classes = [LogoutFormParser]
    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="sso_backchannel_logout",
        summary="End sessions (OpenID Connect Back-Channel Logout)",
        request={_FORM: LogoutTokenSerializer},
        responses={200: None},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """For a tenant's own provider: end the sessions here that began in one session there (`sid`), or are of one
        person (`sub`). Their tokens are refused from their next request on.
        """
        text = _form(request).get("logout_token", "")
        token = read_logout_token(flow.provider_of(_connection(pk)), text)
        logout.end_sessions(connection_id=pk, token=token)
        return Response(headers=_NO_STORE)


class InitiateView(APIView):
    """Where a provider's own portal sends people who want to come in (OpenID Connect Core section 4).

    Nobody began anything in this browser, so nothing begins here either: the front end does it, as always. Otherwise a
    link could sign somebody in to another's account.
    """

    throttles = {"GET": "sign_in", "POST": "sign_in"}
    parser_classes = [LogoutFormParser]

    @extend_schema(
        operation_id="sso_initiate",
        summary="Go to the sign-in page (third-party initiated login)",
        parameters=[
            OpenApiParameter("iss", str, description="The provider, which has to be the connection's."),
            OpenApiParameter("login_hint", str, description="Not used."),
            OpenApiParameter("target_link_uri", str, description="Not used: it would be an open redirect."),
        ],
        responses={302: None},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseRedirect:
        """Lead to the front end's sign-in page of the connection's tenant, where signing in begins as always."""
        return self._go(pk, request.query_params.get("iss"))

    @extend_schema(
        operation_id="sso_initiate_by_form",
        summary="Go to the sign-in page (third-party initiated login, by a form)",
        request={_FORM: None},
        responses={302: None},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponseRedirect:
        """The same, by a form."""
        return self._go(pk, _form(request).get("iss"))

    def _go(self, pk: UUID, issuer: str | None) -> HttpResponseRedirect:
        connection = _connection(pk)
        if not connection.is_enabled or issuer not in (None, connection.issuer):
            raise NoConnection
        return HttpResponseRedirect(sign_in_page(connection.tenant.slug), headers=_NO_STORE)


def _form(request: Request) -> dict[str, str]:
    return request.data if isinstance(request.data, dict) else {}


def _connection(pk: UUID) -> Connection:
    try:
        return selectors.connection_to_use(pk)
    except Connection.DoesNotExist:
        raise NoConnection from None
