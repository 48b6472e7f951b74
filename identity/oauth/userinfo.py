"""``/oauth/userinfo``: who it is that an application acts for."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts import selectors as accounts
from identity.oauth.parsers import StrictFormParser
from identity.oauth.serializers import UserInfoSerializer
from identity.sessions import selectors as sessions
from identity.tokens import openid
from identity.tokens.api import NO_STORE
from identity.tokens.authentication import bearer_token
from identity.tokens.backends import BearerBackend
from identity.tokens.errors import InvalidToken
from permissions.errors import InsufficientScope


class UserInfoView(APIView):
    """The UserInfo endpoint. It reads its token itself: what the token is good for here, its session says."""

    throttles = {"GET": "token", "POST": "token"}
    parser_classes = [StrictFormParser]

    @extend_schema(
        operation_id="oauth_userinfo",
        summary="See who it is",
        responses=UserInfoSerializer,
        tags=["oauth"],
    )
    def get(self, request: Request) -> Response:
        """What an application learns of the person it acts for (OpenID Connect Core section 5.3): it takes an access
        token of an application that was let in with the scope `openid`.
        """
        return self._answer(request)

    @extend_schema(
        operation_id="oauth_userinfo_post",
        summary="See who it is (POST)",
        request=None,
        responses=UserInfoSerializer,
        tags=["oauth"],
    )
    def post(self, request: Request) -> Response:
        """The same, for clients that send POST."""
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        raw = bearer_token(request)
        if raw is None:
            raise NotAuthenticated
        principal = BearerBackend().inspect(request._request, raw)
        if principal.application_id is None or principal.session_id is None or principal.id is None:
            raise InsufficientScope(frozenset({openid.OPENID}))
        session = sessions.live_session(session_id=principal.session_id, user_id=principal.id)
        if session is None:
            raise InvalidToken
        scope = session.scope.split()
        if openid.OPENID not in scope:
            raise InsufficientScope(frozenset({openid.OPENID}))
        return Response(openid.claims_of(accounts.user_by_id(principal.id), scope), headers=NO_STORE)
