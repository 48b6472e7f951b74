"""``/api/v1/auth/email/{verify,resend,change}`` and ``/api/v1/auth/password/{forgot,reset}``: what works by links in
mails. Whether an address has an account is told to its owner by mail, and to nobody else by an answer.
"""

from typing import Any

from django.core.exceptions import ValidationError as RuleBroken
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts import recovery, registration
from identity.accounts.api import (
    AddressSerializer,
    WantedTenantSerializer,
    count_mail_to,
    password_field,
    wanted_tenant,
    weak_password,
    wrong_password,
)
from permissions import callers, limits
from permissions.limits import password_attempt
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from permissions.throttles import address_of

_TOKEN_LENGTH = 200
_TOKEN = "tl_AZ2o5Qw8dYkrTR0m4X1f2AAAAAG0…"  # noqa: S105 -- an example that is none

_ADDRESS = OpenApiExample("An address", {"email": "ada@example.com"}, request_only=True)
_TAKEN = OpenApiResponse({"$ref": "#/components/schemas/Problem"}, "The slug, or the address, is taken by now.")
_ALWAYS = OpenApiExample("Always", {"email": "ada@example.com"}, response_only=True, status_codes=["202"])


def token_field() -> serializers.CharField:
    """Return a field for the token of a mailed link."""
    return serializers.CharField(max_length=_TOKEN_LENGTH, write_only=True, help_text="The token of a link in a mail.")


class AnyAddressSerializer(StrictSerializer):
    """An address to send mail to."""

    email = serializers.EmailField(max_length=254)


class ProofSerializer(StrictSerializer):
    """A link to follow."""

    token = token_field()
    tenant = WantedTenantSerializer(
        required=False, help_text="In place of the tenant that was asked for at registration; its slug may be taken."
    )


class ProvedSerializer(serializers.Serializer[Any]):
    """What was confirmed."""

    email = serializers.EmailField()
    tenant = serializers.CharField(allow_null=True, help_text="Slug of the tenant that was created.")


class PasswordResetSerializer(StrictSerializer):
    """A link to follow, and the next password."""

    token = token_field()
    new_password = password_field()


class EmailChangeSerializer(StrictSerializer):
    """Another address, and proof of who is calling."""

    new_email = serializers.EmailField(max_length=254)
    password = password_field()


class EmailVerifyView(APIView):
    """Confirming an address."""

    @extend_schema(
        operation_id="auth_email_verify",
        summary="Confirm an address",
        request=ProofSerializer,
        responses={200: ProvedSerializer, (409, "application/problem+json"): _TAKEN},
        examples=[
            OpenApiExample("From the link's fragment", {"token": _TOKEN}, request_only=True),
            OpenApiExample(
                "The slug was taken meanwhile",
                {"token": _TOKEN, "tenant": {"name": "Marsh & Daughters", "slug": "marsh-daughters"}},
                request_only=True,
            ),
            OpenApiExample("With a tenant", {"email": "ada@example.com", "tenant": "marsh"}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Confirm the address of a new account, or another address for an account, with the token of the link that was
        mailed there. Sign in afterwards.

        A new account gets the password of the registration whose link this is, whoever registered the address before.
        When the tenant cannot be created (409 `slug_taken`), nothing has happened: send the token again, with another
        `tenant`.
        """
        serializer = ProofSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        proved = registration.prove(token=values["token"], tenant=wanted_tenant(values))
        return Response(ProvedSerializer(proved).data)


class EmailResendView(APIView):
    """Another mail."""

    throttles = {"POST": "mail"}

    @extend_schema(
        operation_id="auth_email_resend",
        summary="Get another mail to confirm an address",
        request=AnyAddressSerializer,
        responses={202: AddressSerializer},
        examples=[_ADDRESS, _ALWAYS],
    )
    def post(self, request: Request) -> Response:
        """Have a new link mailed to an address that was registered and is not confirmed yet.

        The answer is the same for every address; the mail says how things are.
        """
        serializer = AnyAddressSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        count_mail_to(serializer.validated_data["email"])
        registration.ask_again(**serializer.validated_data)
        return _accepted(serializer.validated_data["email"])


class EmailChangeView(APIView):
    """Another address."""

    enters_tenant = False
    scopes = {"POST": Scope.PROFILE_WRITE}
    throttles = {"POST": "mail"}

    @extend_schema(
        operation_id="auth_email_change",
        summary="Change one's address",
        request=EmailChangeSerializer,
        responses={202: AddressSerializer},
        examples=[
            OpenApiExample(
                "A new address",
                {"new_email": "ada@example.com", "password": "lantern gravel teapot"},
                request_only=True,
            ),
            _ALWAYS,
        ],
    )
    def post(self, request: Request) -> Response:
        """Have a link mailed to another address, which becomes one's own when the link is followed. Until then nothing
        changes; then the former address is told.

        The answer is the same when another account has the address; the mail says so.
        """
        serializer = EmailChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values, user_id = serializer.validated_data, callers.caller_id(request)
        count_mail_to(values["new_email"])
        with password_attempt(address=address_of(request), account=str(user_id)) as attempt:
            if not registration.ask_for_change(user_id=user_id, **values):
                attempt.fail()
                raise wrong_password("password")
        return _accepted(values["new_email"])


class PasswordForgotView(APIView):
    """A forgotten password."""

    throttles = {"POST": "mail"}

    @extend_schema(
        operation_id="auth_password_forgot",
        summary="Ask for a new password",
        request=AnyAddressSerializer,
        responses={202: AddressSerializer},
        examples=[_ADDRESS, _ALWAYS],
    )
    def post(self, request: Request) -> Response:
        """Have a link mailed by which another password can be chosen.

        The answer is the same for every address. One mail is sent in any case: to an address without an account, that
        somebody asked.
        """
        serializer = AnyAddressSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        count_mail_to(serializer.validated_data["email"])
        recovery.ask_for_reset(**serializer.validated_data)
        return _accepted(serializer.validated_data["email"])


class PasswordResetView(APIView):
    """Another password, by mail."""

    @extend_schema(
        operation_id="auth_password_reset",
        summary="Choose a new password",
        request=PasswordResetSerializer,
        responses={204: None},
        examples=[
            OpenApiExample(
                "From the link's fragment",
                {"token": _TOKEN, "new_password": "lantern gravel teapot"},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Choose another password, with the token of the link that was mailed. All sessions of the account end, with
        every API. Its address is confirmed thereby, if it was not before.
        """
        serializer = PasswordResetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        try:
            email = recovery.reset_password(token=values["token"], new=values["new_password"])
        except RuleBroken as error:
            raise weak_password("new_password", error)  # noqa: B904 -- the cause says nothing more
        limits.clear("account_failures", email)  # whoever guessed at the former one does not keep its person waiting
        return Response(status=status.HTTP_204_NO_CONTENT)


def _accepted(email: str) -> Response:
    return Response(AddressSerializer({"email": email}).data, status=status.HTTP_202_ACCEPTED)
