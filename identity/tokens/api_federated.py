"""``/api/v1/auth/federated``."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.oidc.serializers import CodeSerializer
from identity.sessions.models import Api
from identity.tokens import federated
from identity.tokens.api import token_response
from identity.tokens.serializers import TokensSerializer, device_of
from identity.tokens.signals import told_of_sign_in
from tenants.routing.middleware import tenant_of


class FederatedView(APIView):
    """The end of a sign-in by an identity provider."""

    throttles = {"POST": "token"}

    @extend_schema(
        operation_id="auth_federated",
        summary="Sign in by an identity provider",
        request=CodeSerializer,
        responses=TokensSerializer,
    )
    def post(self, request: Request) -> Response:
        """Exchange the `code` with which a browser came back from an identity provider, along with the `code_verifier`
        that it kept, for tokens. It ends as signing in with a password does, a second factor included.

        Both `/auth/social/{provider}/start` and `/auth/sso/start` lead here. A code is good once, for a minute.
        """
        serializer = CodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with told_of_sign_in(Api.TENANT):
            tokens = federated.sign_in(
                **serializer.validated_data, host_tenant=tenant_of(request._request), device=device_of(request)
            )
            return token_response(tokens)
