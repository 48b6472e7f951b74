"""``/api/v1/auth/register``, ``/api/v1/auth/password/change`` and ``/api/v1/me``. What works by links in mails is in
``api_mail``.
"""

from typing import Any

from django.core.exceptions import ValidationError as RuleBroken
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.accounts import registration, selectors, services
from identity.accounts.models import PROFILE, User, normalize_email
from identity.accounts.password_rules import LONGEST
from identity.accounts.registration import WantedTenant
from permissions import callers, limits
from permissions.limits import password_attempt
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer
from permissions.throttles import address_of
from tenants.registry.names import SLUG_LENGTH, validate_slug

PASSWORD_LENGTH = LONGEST


def password_field(*, required: bool = True) -> serializers.CharField:
    """Return a field for a password, which is taken as it is."""
    return serializers.CharField(
        max_length=PASSWORD_LENGTH,
        required=required,
        write_only=True,
        trim_whitespace=False,
        style={"input_type": "password"},
    )


def count_mail_to(email: str) -> None:
    """Count a mail that somebody asks for, to whoever has the address: nobody fills another one's mailbox.

    Raises:
        LimitReached: it is one too many.
    """
    limits.require("mail_to", normalize_email(email))


class WantedTenantSerializer(StrictSerializer):
    """A tenant to create along with the account."""

    name = serializers.CharField(max_length=120)
    slug = serializers.CharField(
        max_length=SLUG_LENGTH, validators=[validate_slug], help_text="Its name in hosts: `<slug>.<base domain>`."
    )


class RegistrationSerializer(StrictModelSerializer):
    """A new account."""

    # No look-up whether the address is free: that is nobody's business.
    email = serializers.EmailField(max_length=254)
    password = password_field()
    tenant = WantedTenantSerializer(
        required=False, help_text="A tenant of one's own, created when the address is confirmed."
    )

    class Meta:
        model = User
        fields = ["email", "password", *PROFILE, "tenant"]


class AddressSerializer(serializers.Serializer[Any]):
    """The address that was asked about, and nothing of it."""

    email = serializers.EmailField()


class PasswordChangeSerializer(StrictSerializer):
    """The present password, and the next one."""

    current_password = password_field()
    new_password = password_field()


class MeSerializer(serializers.Serializer[Any]):
    """The caller, as this token shows them."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    email_verified = serializers.BooleanField(help_text="They have proved that the address is theirs.")
    name = serializers.CharField()
    locale = serializers.CharField(help_text="A language tag (BCP 47).")
    time_zone = serializers.CharField(help_text="A name of the IANA time zone database.")
    tenant_id = serializers.UUIDField(allow_null=True, help_text="The tenant the token is for.")
    role = serializers.CharField(allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())


class ProfileSerializer(StrictModelSerializer):
    """What people change of themselves."""

    class Meta:
        model = User
        fields = PROFILE


class RegisterView(APIView):
    """Registration."""

    throttles = {"POST": "registration"}

    @extend_schema(
        operation_id="auth_register",
        summary="Register",
        request=RegistrationSerializer,
        responses={201: AddressSerializer},
        examples=[
            OpenApiExample(
                "With a tenant of one's own",
                {
                    "email": "ada@example.com",
                    "password": "lantern gravel teapot",
                    "name": "Ada Marsh",
                    "locale": "en-GB",
                    "time_zone": "Europe/London",
                    "tenant": {"name": "Marsh & Daughters", "slug": "marsh"},
                },
                request_only=True,
            ),
            OpenApiExample("Always", {"email": "ada@example.com"}, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        """Create an account: a mail to the address has a link that confirms it.

        The answer is the same when the address has an account already. That account stays as it is, and the mail says
        so. The tenant, if one is wanted, is created when the address is confirmed; its slug may be taken until then.
        """
        serializer = RegistrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        count_mail_to(values["email"])
        try:
            registration.register(
                email=values["email"],
                password=values["password"],
                profile={name: values[name] for name in PROFILE if name in values},
                tenant=wanted_tenant(values),
            )
        except RuleBroken as error:
            raise weak_password("password", error)  # noqa: B904 -- the cause says nothing more
        return Response(AddressSerializer(values).data, status=status.HTTP_201_CREATED)


class PasswordChangeView(APIView):
    """Another password."""

    enters_tenant = False
    scopes = {"POST": Scope.PROFILE_WRITE}
    throttles = {"POST": "sign_in"}

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
        user_id = callers.caller_id(request)
        with password_attempt(address=address_of(request), account=str(user_id)) as attempt:
            try:
                changed = services.change_password(
                    user_id=user_id,
                    current=values["current_password"],
                    new=values["new_password"],
                    keep_session=callers.principal_of(request).session_id,
                )
            except RuleBroken as error:
                raise weak_password("new_password", error)  # noqa: B904 -- the cause says nothing more
            if not changed:
                attempt.fail()
                raise wrong_password("current_password")
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """The caller's own account."""

    enters_tenant = False
    scopes = {"GET": Scope.PROFILE_READ, "PATCH": Scope.PROFILE_WRITE, "DELETE": Scope.PROFILE_WRITE}
    recent_sign_in = {"DELETE"}

    @property
    def acts_as_person(self) -> bool:
        """Deleting an account takes along what a person reaches nothing of."""
        return self.request.method != "DELETE"

    @extend_schema(operation_id="me_retrieve", summary="See oneself", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """One's own account, and what the token at hand is good for."""
        return self._me(request, selectors.user_by_id(callers.caller_id(request)))

    @extend_schema(
        operation_id="me_partial_update",
        summary="Change one's name, language or time zone",
        request=ProfileSerializer,
        responses=MeSerializer,
        examples=[
            OpenApiExample("Another place", {"locale": "pt-BR", "time_zone": "America/Recife"}, request_only=True)
        ],
    )
    def patch(self, request: Request) -> Response:
        """Change one's own name, language or time zone; what is left out stays as it is."""
        serializer = ProfileSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        user = services.update_profile(user_id=callers.caller_id(request), changes=serializer.validated_data)
        return self._me(request, user)

    @extend_schema(operation_id="me_destroy", summary="Delete one's account", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete one's own account, with its sessions and memberships, for good. What one did in a tenant stays there.

        Whoever is the only owner of a tenant makes somebody else owner first.
        """
        services.delete_account(user_id=callers.caller_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _me(self, request: Request, user: User) -> Response:
        principal = callers.principal_of(request)
        body = {
            "id": user.id,
            "email": user.email,
            "email_verified": user.email_verified_at is not None,
            "tenant_id": principal.tenant_id,
            "role": principal.role,
            "scopes": sorted(principal.scopes),
            **{name: getattr(user, name) for name in PROFILE},
        }
        return Response(MeSerializer(body).data)


def wrong_password(field: str) -> serializers.ValidationError:
    """Return the error of a password that confirms nothing: 400, because the token itself is good."""
    message = serializers.ErrorDetail("This is not the account's password.", code="wrong_password")
    return serializers.ValidationError({field: [message]})


def weak_password(field: str, error: RuleBroken) -> serializers.ValidationError:
    """Return the errors of a new password that breaks rules."""
    return serializers.ValidationError({field: serializers.as_serializer_error(error)["non_field_errors"]})


def wanted_tenant(values: dict[str, Any]) -> WantedTenant | None:
    """Return the tenant that validated input asks for."""
    return WantedTenant(**values["tenant"]) if "tenant" in values else None
