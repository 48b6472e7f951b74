"""``/api/v1/auth/{login,refresh,switch,step-up,verify,logout}``."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts.api import wrong_password
from identity.factors.errors import wrong
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason
from identity.tokens import services
from identity.tokens.authentication import bearer_token
from identity.tokens.authority import Authority
from identity.tokens.backends import BearerBackend
from identity.tokens.minting import IssuedTokens
from identity.tokens.second_factors import WrongProof
from identity.tokens.serializers import (
    AccessTokenSerializer,
    LoginSerializer,
    LogoutSerializer,
    RefreshSerializer,
    StepUpSerializer,
    SwitchSerializer,
    TokensSerializer,
    VerifiedSerializer,
    VerifySerializer,
)
from identity.tokens.services import SignedIn
from identity.tokens.signals import told_of_sign_in
from permissions import callers
from permissions.limits import password_attempt
from permissions.scopes import Scope
from permissions.throttles import address_of
from tenants.routing.middleware import tenant_of

_SHOWN_AS_NULL = {"tenant", "role"}  # of a person in no tenant
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1


def token_response(tokens: IssuedTokens) -> Response:
    """Return tokens so that nobody on the way keeps them."""
    # As TokensSerializer, or AccessTokenSerializer, would show them.
    body = {name: value for name, value in vars(tokens).items() if value is not None or name in _SHOWN_AS_NULL}
    return Response(body, headers=NO_STORE)


def signed_in(request: Request) -> SignedIn:
    """Return the person who calls, with their session.

    Raises:
        NotAuthenticated: no person does. Behind a scope that only people hold, that cannot happen.
    """
    principal = callers.principal_of(request)
    if principal.session_id is None:
        raise NotAuthenticated
    return SignedIn(callers.caller_id(request), principal.session_id, principal.tenant_id, principal.scopes)


class LoginView(APIView):
    """Signing in."""

    throttles = {"POST": "sign_in"}

    @extend_schema(operation_id="auth_login", summary="Sign in", request=LoginSerializer, responses=TokensSerializer)
    def post(self, request: Request) -> Response:
        """Sign in with an address and a password.

        The tokens are for one tenant: that of the host, else the one named in `tenant`, else the one used last. A
        person without a tenant gets tokens that are good for their own account only.

        Where a second factor is needed too, the answer is 401 `second_factor_required`; its `challenge` is answered at
        `/api/v1/auth/second-factor`.
        """
        with told_of_sign_in(Api.TENANT):
            serializer = LoginSerializer(data=request.data, context={"request": request})
            serializer.is_valid(raise_exception=True)
            return token_response(serializer.save())


class RefreshView(APIView):
    """Refreshing."""

    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="auth_refresh", summary="Refresh tokens", request=RefreshSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for new tokens, with the role and scopes of this moment.

        A refresh token is good once. Sending it again within a few seconds returns the same successor; sending an older
        one ends the session, because two parties hold it.
        """
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        text = serializer.validated_data["refresh_token"]
        return token_response(services.refresh(text=text, host_tenant=tenant_of(request._request)))


class SwitchView(APIView):
    """Entering another tenant."""

    enters_tenant = False
    scopes = {"POST": Scope.SESSIONS_WRITE}

    @extend_schema(
        operation_id="auth_switch", summary="Enter another tenant", request=SwitchSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Get tokens for another of one's tenants, without signing in again.

        The tokens at hand stay good: which tenant is the active one is for each client to know. What was asked for at
        sign-in stays the most that any of them holds.
        """
        serializer = SwitchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        tokens = services.switch(caller=signed_in(request), slug=values["tenant"], scope=values.get("scope", ""))
        return token_response(tokens)


class StepUpView(APIView):
    """Proving again who one is."""

    api = Api.TENANT
    enters_tenant = False
    scopes = {"POST": Scope.SESSIONS_WRITE}
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_step_up",
        summary="Prove again who you are",
        request=StepUpSerializer,
        responses=AccessTokenSerializer,
    )
    def post(self, request: Request) -> Response:
        """Answer `insufficient_user_authentication`: prove again who you are, and get an access token that says when.

        A second factor (a passkey with what `passkey/options` gave) makes this sign-in one with two, as some tenants
        ask for. Who has second factors proves one: a password alone ends in `second_factor_required`.

        It holds the scopes of the token it was asked with. The refresh token at hand stays the one to use.
        """
        serializer = StepUpSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        caller = signed_in(request)
        with password_attempt(address=address_of(request), account=str(caller.user_id)) as attempt:
            try:
                tokens = services.step_up(
                    caller=caller,
                    api=self.api,
                    password=values.get("password"),
                    given=values["answer"],
                    authority=self.authority(caller),
                )
            except WrongProof as error:
                attempt.fail()
                raise (wrong_password if error.field == "password" else wrong)(error.field) from None
        return token_response(tokens)

    def authority(self, caller: SignedIn) -> Authority:
        """Return what the caller may do now."""
        return services.authority_now(user_id=caller.user_id, tenant_id=caller.tenant_id)


class VerifyView(APIView):
    """Verifying."""

    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="auth_verify", summary="Verify a token", request=VerifySerializer, responses=VerifiedSerializer
    )
    def post(self, request: Request) -> Response:
        """Tell whether this host would accept an access token now, and what it is good for; 401 when it would not."""
        serializer = VerifySerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        return Response(VerifiedSerializer(serializer.validated_data["principal"]).data)


class LogoutView(APIView):
    """Signing out."""

    backend = BearerBackend
    api = Api.TENANT

    @extend_schema(operation_id="auth_logout", summary="Sign out", request=LogoutSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the session: all its tokens are refused from the next request on.

        Name the session by its `refresh_token`, which may be spent or expired, or by sending its access token as bearer
        token.
        """
        serializer = LogoutSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        text = serializer.validated_data.get("refresh_token")
        if text is not None:
            services.sign_out(text=text, api=self.api)
        else:
            self._end_own_session(request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _end_own_session(self, request: Request) -> None:
        raw = bearer_token(request)
        if raw is None:
            raise NotAuthenticated
        principal = self.backend().inspect(request._request, raw)
        if principal.session_id is not None:
            sessions.end_session(session_id=principal.session_id, reason=EndReason.LOGOUT)
