"""``/api/v1/auth/register``, ``/api/v1/auth/password/change`` and ``/api/v1/me``."""

from typing import Any

from django.core.exceptions import ValidationError as RuleBroken
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts import selectors, services
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer

PASSWORD_LENGTH = 256  # bounds the work of hashing; NIST 800-63B asks for at least 64


def password_field() -> serializers.CharField:
    """Return a field for a password, which is taken as it is."""
    return serializers.CharField(
        max_length=PASSWORD_LENGTH, write_only=True, trim_whitespace=False, style={"input_type": "password"}
    )


class RegistrationSerializer(StrictSerializer):
    """A new account."""

    email = serializers.EmailField(max_length=254)
    password = password_field()
    name = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")


class RegisteredSerializer(serializers.Serializer[Any]):
    """What everybody who registers is told."""

    email = serializers.EmailField()


class PasswordChangeSerializer(StrictSerializer):
    """The present password, and the next one."""

    current_password = password_field()
    new_password = password_field()


class MeSerializer(serializers.Serializer[Any]):
    """The caller, as this token shows them."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField()
    tenant_id = serializers.UUIDField(allow_null=True, help_text="The tenant the token is for.")
    role = serializers.CharField(allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())


class RegisterView(APIView):
    """Registration."""

    @extend_schema(
        operation_id="auth_register",
        summary="Register",
        request=RegistrationSerializer,
        responses={201: RegisteredSerializer},
    )
    def post(self, request: Request) -> Response:
        """Create an account; sign in afterwards.

        The answer is the same when the address has an account already: that account stays as it is.
        """
        serializer = RegistrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            services.register(**serializer.validated_data)
        except RuleBroken as error:
            raise _weak("password", error)  # noqa: B904 -- the cause says nothing more
        body = RegisteredSerializer({"email": serializer.validated_data["email"]})
        return Response(body.data, status=status.HTTP_201_CREATED)


class PasswordChangeView(APIView):
    """Another password."""

    enters_tenant = False
    scopes = {"POST": Scope.PROFILE_WRITE}

    @extend_schema(
        operation_id="auth_password_change",
        summary="Change one's password",
        request=PasswordChangeSerializer,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        """Change one's password. Every other session of one's own ends, with every API; this one goes on."""
        serializer = PasswordChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        try:
            changed = services.change_password(
                user_id=callers.caller_id(request),
                current=values["current_password"],
                new=values["new_password"],
                keep_session=callers.principal_of(request).session_id,
            )
        except RuleBroken as error:
            raise _weak("new_password", error)  # noqa: B904 -- the cause says nothing more
        if not changed:
            raise wrong_password("current_password")
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """The caller's own account."""

    enters_tenant = False
    acts_as_person = True
    scopes = {"GET": Scope.PROFILE_READ}

    @extend_schema(operation_id="me_retrieve", summary="See oneself", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """One's own account, and what the token at hand is good for."""
        principal = callers.principal_of(request)
        user = selectors.user_by_id(callers.caller_id(request))
        body = {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "tenant_id": principal.tenant_id,
            "role": principal.role,
            "scopes": sorted(principal.scopes),
        }
        return Response(MeSerializer(body).data)


def wrong_password(field: str) -> serializers.ValidationError:
    """Return the error of a password that confirms nothing: 400, because the token itself is good."""
    message = serializers.ErrorDetail("This is not the account's password.", code="wrong_password")
    return serializers.ValidationError({field: [message]})


def _weak(field: str, error: RuleBroken) -> serializers.ValidationError:
    return serializers.ValidationError({field: serializers.as_serializer_error(error)["non_field_errors"]})
