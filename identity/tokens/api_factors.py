"""``/api/v1/auth/{second-factor,passkey}``: signing in by more, or by something else, than a password."""

from collections.abc import Iterator
from contextlib import contextmanager

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.factors import passkeys, totp
from identity.factors.errors import InvalidFactor
from identity.factors.proving import Answer
from identity.sessions.models import Api
from identity.tokens import answers
from identity.tokens.answers import Answered
from identity.tokens.api import NO_STORE, token_response
from identity.tokens.serializers import (
    EnrollingSerializer,
    EnrollSerializer,
    PasskeyRequestSerializer,
    PasskeySignInSerializer,
    SecondFactorSerializer,
    SecondFactorTokensSerializer,
    TokensSerializer,
    device_of,
)
from identity.tokens.signals import told_of_sign_in
from permissions.limits import password_attempt
from permissions.throttles import address_of
from tenants.routing.middleware import tenant_of


class SecondFactorView(APIView):
    """The second step of signing in."""

    api = Api.TENANT
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_second_factor",
        summary="Answer with a second factor",
        request=SecondFactorSerializer,
        responses=SecondFactorTokensSerializer,
        examples=[
            OpenApiExample("A code of an app", {"challenge": "s4…", "code": "287082"}, request_only=True),
            OpenApiExample(
                "A recovery code",
                {"challenge": "s4…", "recovery_code": "k3v7q-2m4xa-hj5tb-6wzcr-ne2dy"},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Answer the `challenge` of `second_factor_required`, and get the tokens that the sign-in was for.

        It is good once, for `expires_in` seconds and five tries; then sign in anew. Who has set up an authenticator app
        on the way (`second-factor/enroll`) answers with its first code, and gets recovery codes along with the tokens.
        """
        serializer = SecondFactorSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        with told_of_sign_in(self.api), _trying(request, values["challenge"]):
            answered = self.answer(request, values["challenge"], values["answer"])
        response = token_response(answered.tokens)
        if answered.recovery_codes is not None:
            response.data = {**response.data, "recovery_codes": answered.recovery_codes}
        return response

    def answer(self, request: Request, text: str, given: Answer) -> Answered:
        """Go on with the sign-in."""
        return answers.answer(
            text=text, given=given, host_tenant=tenant_of(request._request), device=device_of(request)
        )


class EnrollView(APIView):
    """Setting up an authenticator app on the way."""

    api = Api.TENANT
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_second_factor_enroll",
        summary="Set up an authenticator app while signing in",
        request=EnrollSerializer,
        responses=EnrollingSerializer,
    )
    def post(self, request: Request) -> Response:
        """Get the secret for an authenticator app, where a second factor is needed and there is none yet (`enroll` in
        `second_factor_required` says so). Then answer the challenge with the app's first code.
        """
        serializer = EnrollSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        text = serializer.validated_data["challenge"]
        with _trying(request, text):
            enrolling = answers.enroll(text=text, api=self.api)
        body = {
            "expires_in": enrolling.expires_in,
            "secret": totp.text_of(enrolling.secret),
            "otpauth_uri": totp.uri_of(enrolling.secret, enrolling.email),
        }
        return Response(body, headers=NO_STORE)


class PasskeyOptionsView(APIView):
    """Being asked for a passkey."""

    api = Api.TENANT
    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_passkey_options",
        summary="Begin to use a passkey",
        request=None,
        responses=PasskeyRequestSerializer,
    )
    def post(self, request: Request) -> Response:
        """Get what `navigator.credentials.get` is to be asked for: to sign in by a passkey, or to step up with one.

        No account is named: the browser knows whose passkeys it has.
        """
        begun = answers.ask_for_passkey(api=self.api)
        body = {"expires_in": begun.expires_in, "options": passkeys.request_options(begun.signed)}
        return Response(body, headers=NO_STORE)


class PasskeySignInView(APIView):
    """Signing in by a passkey alone."""

    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_passkey",
        summary="Sign in by a passkey",
        request=PasskeySignInSerializer,
        responses=TokensSerializer,
    )
    def post(self, request: Request) -> Response:
        """Sign in by a passkey, without address and password. It counts as two factors.

        The tokens are for a tenant as those of `login` are. A passkey that nobody has, and one that did not sign what
        was asked, get the same answer.
        """
        serializer = PasskeySignInSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        named = passkeys.id_of(values["credential"]) or b""
        with told_of_sign_in(Api.TENANT), _trying(request, f"passkey {named.hex()}"):
            tokens = answers.sign_in_with_passkey(
                credential=values["credential"],
                host_tenant=tenant_of(request._request),
                slug=values.get("tenant"),
                scope=values.get("scope", ""),
                device=device_of(request),
            )
        return token_response(tokens)


@contextmanager
def _trying(request: Request, what: str) -> Iterator[None]:
    """Count the try of a factor before it is looked at; `what` it is tried on matters beside where it comes from."""
    with password_attempt(address=address_of(request), account=what) as attempt:
        try:
            yield
        except InvalidFactor:
            attempt.fail()
            raise
