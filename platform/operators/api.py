"""``/operator/v1/auth``: signing in as staff."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.factors.proving import Answer
from identity.sessions.models import Api
from identity.sessions.proof import BY_PASSWORD
from identity.tokens.answers import Answered
from identity.tokens.api import LogoutView, StepUpView, token_response
from identity.tokens.api_factors import EnrollView, PasskeyOptionsView, SecondFactorView
from identity.tokens.authority import Authority
from identity.tokens.minting import IssuedTokens
from identity.tokens.serializers import (
    PasswordSignInSerializer,
    RefreshSerializer,
    TokensSerializer,
    device_of,
)
from identity.tokens.services import SignedIn
from identity.tokens.signals import told_of_sign_in
from operators import services
from operators.backends import OperatorAuthentication, OperatorBearerBackend
from permissions.scopes import Scope


class OperatorLoginSerializer(PasswordSignInSerializer):
    """Sign in as platform staff."""

    def create(self, validated_data: dict[str, Any]) -> IssuedTokens:
        """Start the session and return its tokens."""
        return services.sign_in(
            user=self.user,
            scope=validated_data.get("scope", ""),
            proof=BY_PASSWORD,
            device=device_of(self.context["request"]),
        )


class OperatorLoginView(APIView):
    """Signing in as staff."""

    authentication_classes = [OperatorAuthentication]
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="operator_login", summary="Sign in", request=OperatorLoginSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Sign in as platform staff. The tokens are for the operator API alone: no tenant API accepts them.

        Where a second factor is needed too, the answer is 401 `second_factor_required`; its `challenge` is answered at
        `/operator/v1/auth/second-factor`.
        """
        with told_of_sign_in(Api.OPERATOR):
            serializer = OperatorLoginSerializer(data=request.data, context={"request": request})
            serializer.is_valid(raise_exception=True)
            return token_response(serializer.save())


class OperatorRefreshView(APIView):
    """Refreshing."""

    authentication_classes = [OperatorAuthentication]
    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="operator_refresh", summary="Refresh tokens", request=RefreshSerializer, responses=TokensSerializer
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for new tokens, with the role of this moment."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return token_response(services.refresh(text=serializer.validated_data["refresh_token"]))


@extend_schema_view(post=extend_schema(operation_id="operator_logout"))
class OperatorLogoutView(LogoutView):
    """Signing out."""

    authentication_classes = [OperatorAuthentication]
    backend = OperatorBearerBackend
    api = Api.OPERATOR


@extend_schema_view(post=extend_schema(operation_id="operator_second_factor"))
class OperatorSecondFactorView(SecondFactorView):
    """The second step of signing in as staff."""

    authentication_classes = [OperatorAuthentication]
    api = Api.OPERATOR

    def answer(self, request: Request, text: str, given: Answer) -> Answered:
        return services.answer(text=text, given=given, device=device_of(request))


@extend_schema_view(post=extend_schema(operation_id="operator_second_factor_enroll"))
class OperatorEnrollView(EnrollView):
    """Setting up an authenticator app on the way."""

    authentication_classes = [OperatorAuthentication]
    api = Api.OPERATOR


@extend_schema_view(post=extend_schema(operation_id="operator_passkey_options"))
class OperatorPasskeyOptionsView(PasskeyOptionsView):
    """Being asked for a passkey, to step up."""

    authentication_classes = [OperatorAuthentication]
    api = Api.OPERATOR


@extend_schema_view(post=extend_schema(operation_id="operator_step_up"))
class OperatorStepUpView(StepUpView):
    """Proving again who one is."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"POST": Scope.PLATFORM_TENANTS_READ}  # every operator holds it
    api = Api.OPERATOR

    def authority(self, caller: SignedIn) -> Authority:
        return services.current_authority(caller.user_id)
