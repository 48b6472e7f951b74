"""``/api/v1/me/second-factors``: a person's own second factors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.factors import selectors, services, totp
from identity.factors.errors import InvalidFactor, wrong
from identity.factors.models import NAME_LENGTH, Factor
from identity.factors.serializers import challenge_field, code_field, credential_field, name_field
from identity.factors.services import Added, Caller
from permissions import callers
from permissions.limits import password_attempt
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from permissions.throttles import address_of

_NO_STORE = {"Cache-Control": "no-store"}
_API = "tenant"  # ``identity.sessions.models.Api`` has the name; what is set up here is answered here


class FactorSerializer(serializers.ModelSerializer[Factor]):
    """A second factor, for its person to recognize."""

    transports = serializers.ListField(
        child=serializers.CharField(), help_text="How a browser reaches the passkey: `internal`, `usb` and the like."
    )

    class Meta:
        model = Factor
        fields = ["id", "kind", "name", "created_at", "last_used_at", "transports", "is_backed_up"]
        read_only_fields = fields
        extra_kwargs = {
            "is_backed_up": {"help_text": "The passkey is on other devices of its person too."},
        }


class FactorsSerializer(serializers.Serializer[Any]):
    """All that a person has besides a password."""

    results = FactorSerializer(many=True)
    recovery_codes_left = serializers.IntegerField()


class MadeRecoveryCodesSerializer(serializers.Serializer[Any]):
    """Recovery codes, in clear for once."""

    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Each is good once. Nobody sees them again: print them, or keep them."
    )


class AddedFactorSerializer(serializers.Serializer[Added]):
    """A new second factor."""

    factor = FactorSerializer()
    recovery_codes = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Those that come with the first one; else null."
    )


class NewTotpSerializer(serializers.Serializer[Any]):
    """An authenticator app that is being set up."""

    challenge = serializers.CharField(help_text="Send it back with the first code.")
    expires_in = serializers.IntegerField(help_text="Seconds until it is good no more.")
    secret = serializers.CharField(help_text="For an app that reads no QR codes: base32, as people type it.")
    otpauth_uri = serializers.CharField(help_text="What the QR code holds.")


class ConfirmTotpSerializer(StrictSerializer):
    """That the app shows codes."""

    challenge = challenge_field()
    code = code_field()
    name = name_field()


class PasskeyOptionsSerializer(serializers.Serializer[Any]):
    """What a browser is to be asked for."""

    expires_in = serializers.IntegerField(help_text="Seconds until it is good no more.")
    options = serializers.DictField(help_text="For `PublicKeyCredential.parseCreationOptionsFromJSON`.")


class NewPasskeySerializer(StrictSerializer):
    """A passkey that a browser has made."""

    credential = credential_field()
    name = name_field()


class FactorNameSerializer(StrictSerializer):
    """What a factor is to be called."""

    name = serializers.CharField(max_length=NAME_LENGTH)


class SecondFactorViewSet(viewsets.ViewSet):
    """The second factors of the caller, in whichever tenants they are."""

    enters_tenant = False
    scopes = {
        "list": Scope.SESSIONS_READ,  # which nobody has who is in by the word of one tenant, or acts for the person
        "begin_totp": Scope.PROFILE_WRITE,
        "confirm_totp": Scope.PROFILE_WRITE,
        "begin_passkey": Scope.PROFILE_WRITE,
        "add_passkey": Scope.PROFILE_WRITE,
        "renew_recovery_codes": Scope.PROFILE_WRITE,
        "partial_update": Scope.PROFILE_WRITE,
        "destroy": Scope.PROFILE_WRITE,
    }
    recent_sign_in = set(scopes) - {"list", "partial_update"}
    throttles = {"confirm_totp": "sign_in", "add_passkey": "sign_in"}

    @property
    def acts_as_person(self) -> bool:
        """What changes who may sign in takes more than people reach by themselves."""
        return self.action in {"list", "partial_update"}

    @extend_schema(
        operation_id="me_second_factors_list", summary="List one's second factors", responses=FactorsSerializer
    )
    def list(self, request: Request) -> Response:
        """One's own authenticator apps and passkeys, and how many recovery codes are left."""
        user_id = callers.caller_id(request)
        body = {
            "results": selectors.factors_of(user_id),
            "recovery_codes_left": selectors.recovery_codes_left(user_id),
        }
        return Response(FactorsSerializer(body).data)

    @extend_schema(
        operation_id="me_second_factors_begin_totp",
        summary="Set up an authenticator app",
        request=None,
        responses={201: NewTotpSerializer},
    )
    def begin_totp(self, request: Request) -> Response:
        """Get the secret for an authenticator app. It counts from when the app's first code was confirmed.

        Who has second factors already changes them in a sign-in with one.
        """
        begun, secret, user = services.begin_totp(caller=_caller(request))
        body = {
            "challenge": begun.text,
            "expires_in": begun.expires_in,
            "secret": totp.text_of(secret),
            "otpauth_uri": totp.uri_of(secret, user.email),
        }
        return Response(body, status=status.HTTP_201_CREATED, headers=_NO_STORE)

    @extend_schema(
        operation_id="me_second_factors_confirm_totp",
        summary="Confirm an authenticator app",
        request=ConfirmTotpSerializer,
        responses={201: AddedFactorSerializer},
    )
    def confirm_totp(self, request: Request) -> Response:
        """Show that the app works, by a code. From now on, signing in asks for one.

        With the first second factor come ten recovery codes. This sign-in counts as one with a second factor from the
        next refresh on; others go on as they are.
        """
        serializer = ConfirmTotpSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        with _trying(request, "code"):
            added = services.confirm_totp(
                caller=_caller(request),
                text=values["challenge"],
                code=values["code"].replace(" ", ""),
                name=values["name"],
            )
        return _added(added)

    @extend_schema(
        operation_id="me_second_factors_begin_passkey",
        summary="Begin to make a passkey",
        request=None,
        responses={201: PasskeyOptionsSerializer},
    )
    def begin_passkey(self, request: Request) -> Response:
        """Get what `navigator.credentials.create` is to be asked for."""
        begun, options = services.begin_passkey(caller=_caller(request))
        body = {"expires_in": begun.expires_in, "options": options}
        return Response(body, status=status.HTTP_201_CREATED, headers=_NO_STORE)

    @extend_schema(
        operation_id="me_second_factors_add_passkey",
        summary="Add a passkey",
        request=NewPasskeySerializer,
        responses={201: AddedFactorSerializer},
    )
    def add_passkey(self, request: Request) -> Response:
        """Add the passkey that the browser has made. It signs one in by itself, and is a second factor to a password.

        As with an app, recovery codes come with the first second factor.
        """
        serializer = NewPasskeySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        with _trying(request, "credential"):
            added = services.add_passkey(caller=_caller(request), credential=values["credential"], name=values["name"])
        return _added(added)

    @extend_schema(
        operation_id="me_second_factors_renew_recovery_codes",
        summary="Make new recovery codes",
        request=None,
        responses={201: MadeRecoveryCodesSerializer},
    )
    def renew_recovery_codes(self, request: Request) -> Response:
        """Get ten new recovery codes. Former ones are good no more."""
        codes = services.renew_recovery_codes(caller=_caller(request))
        return Response({"recovery_codes": codes}, status=status.HTTP_201_CREATED, headers=_NO_STORE)

    @extend_schema(
        operation_id="me_second_factors_partial_update",
        summary="Rename a second factor",
        request=FactorNameSerializer,
        responses=FactorSerializer,
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Call a second factor something else."""
        serializer = FactorNameSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        factor = services.rename(
            user_id=callers.caller_id(request), factor_id=pk, name=serializer.validated_data["name"]
        )
        return Response(FactorSerializer(factor).data)

    @extend_schema(operation_id="me_second_factors_destroy", summary="Remove a second factor", responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove a second factor. With the last one go the recovery codes, and a password is enough again: except in
        tenants that ask for more.
        """
        services.remove(caller=_caller(request), factor_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@contextmanager
def _trying(request: Request, field: str) -> Iterator[None]:
    """Count the try of a secret, and say that it was wrong as one says it of a field."""
    with password_attempt(address=address_of(request), account=f"factor {callers.caller_id(request)}") as attempt:
        try:
            yield
        except InvalidFactor:
            attempt.fail()
            raise wrong(field) from None


def _caller(request: Request) -> Caller:
    principal = callers.principal_of(request)
    return Caller(callers.caller_id(request), principal.session_id, _API, principal.has_second_factor)


def _added(added: Added) -> Response:
    return Response(AddedFactorSerializer(added).data, status=status.HTTP_201_CREATED, headers=_NO_STORE)
