"""simplejwt's token serializers, made ours: tenant, role and scopes go into the token, sessions and strict fields
around it.
"""

from functools import partial
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.serializers import PasswordField, TokenObtainSerializer, TokenVerifySerializer

from identity.accounts.api import PASSWORD_LENGTH, password_field
from identity.accounts.models import User, normalize_email
from identity.factors.serializers import AnswerSerializer, challenge_field, credential_field
from identity.sessions import selectors as sessions
from identity.sessions.proof import BY_PASSWORD
from identity.sessions.services import Device
from identity.tokens import services
from identity.tokens.backends import BearerBackend
from identity.tokens.errors import InvalidCredentials
from identity.tokens.minting import IssuedTokens
from identity.tokens.tokens import TenantAccessToken
from permissions import throttles
from permissions.limits import password_attempt
from permissions.principals import Principal
from permissions.serializers import StrictFieldsMixin, StrictSerializer
from tenants.registry.names import SLUG_LENGTH
from tenants.routing.middleware import tenant_of

_REFRESH_TOKEN_LENGTH = 200
_ACCESS_TOKEN_LENGTH = 8192


def scope_field() -> serializers.CharField:
    """Return the field by which a client asks for fewer scopes."""
    return serializers.CharField(
        max_length=2000,
        required=False,
        write_only=True,
        help_text="Space-separated scopes, if the token shall hold fewer than the role does.",
    )


class PasswordSignInSerializer(StrictFieldsMixin, TokenObtainSerializer):
    """An address and a password, checked by Django's authentication backends."""

    user: User

    scope = scope_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # simplejwt's fields have no limits, and strip a password of its outer spaces.
        self.fields["email"] = serializers.CharField(max_length=254, write_only=True)
        self.fields["password"] = PasswordField(max_length=PASSWORD_LENGTH, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Set ``self.user`` to whom the credentials belong.

        Raises:
            InvalidCredentials: to nobody, or to an account that is not active.
            LimitReached: there were too many failures for this account, or from this address.
        """
        email, address = normalize_email(attrs["email"]), throttles.address_of(self.context["request"])
        is_known = partial(sessions.has_signed_in_from, email=email, address=address)
        with password_attempt(address=address, account=email, is_known=is_known) as attempt:
            try:
                super().validate(attrs)
            except AuthenticationFailed:
                attempt.fail()
                # The same words for a wrong password and an unknown address, and a hash computed either way.
                raise InvalidCredentials from None
        return attrs


class LoginSerializer(PasswordSignInSerializer):
    """Sign in to one tenant: the host's, else the named one, else the last used one, else none."""

    token_class = TenantAccessToken

    tenant = serializers.CharField(
        max_length=SLUG_LENGTH, required=False, write_only=True, help_text="Slug of the tenant to enter."
    )

    def create(self, validated_data: dict[str, Any]) -> IssuedTokens:
        """Start the session and return its tokens."""
        request = self.context["request"]
        return services.sign_in(
            user=self.user,
            host_tenant=tenant_of(request._request),
            slug=validated_data.get("tenant"),
            scope=validated_data.get("scope", ""),
            proof=BY_PASSWORD,
            device=device_of(request),
        )


class RefreshSerializer(StrictSerializer):
    """A refresh token to exchange."""

    refresh_token = serializers.CharField(max_length=_REFRESH_TOKEN_LENGTH, write_only=True)


class SwitchSerializer(StrictSerializer):
    """Which tenant to enter."""

    tenant = serializers.CharField(max_length=SLUG_LENGTH, write_only=True, help_text="Slug of the tenant to enter.")
    scope = scope_field()


class StepUpSerializer(AnswerSerializer):
    """Proof of who is calling: a password, or a second factor, or both."""

    password = password_field(required=False)

    is_needed = False

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs["answer"] is None and "password" not in attrs:
            message = serializers.ErrorDetail("Send the password, or a second factor.", code="required")
            raise serializers.ValidationError({"password": [message]})
        return attrs


class SecondFactorSerializer(AnswerSerializer):
    """The second factor that a sign-in waits for."""

    challenge = challenge_field()


class EnrollSerializer(StrictSerializer):
    """The sign-in in which an authenticator app is set up."""

    challenge = challenge_field()


class PasskeySignInSerializer(StrictSerializer):
    """A passkey, and where to."""

    credential = credential_field()
    tenant = serializers.CharField(
        max_length=SLUG_LENGTH, required=False, write_only=True, help_text="Slug of the tenant to enter."
    )
    scope = scope_field()


class LogoutSerializer(StrictSerializer):
    """What to sign out: the session of a refresh token, or of the bearer token."""

    refresh_token = serializers.CharField(max_length=_REFRESH_TOKEN_LENGTH, write_only=True, required=False)


class VerifySerializer(StrictFieldsMixin, TokenVerifySerializer):
    """An access token to verify, down to whether what it says is still true."""

    backend: type[BearerBackend] = BearerBackend

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["token"] = serializers.CharField(max_length=_ACCESS_TOKEN_LENGTH, write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the principal of a token that would be accepted on this host now; raises as
        ``BearerBackend.inspect``.
        """
        request: Request = self.context["request"]
        principal = self.backend().inspect(request._request, attrs["token"])
        return {"principal": principal}


class AccessTokenSerializer(serializers.Serializer[IssuedTokens]):
    """An access token, under OAuth's names (RFC 6749 section 5.1)."""

    access_token = serializers.CharField(help_text="JWT as RFC 9068 says; send it as `Authorization: Bearer`.")
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")
    scope = serializers.CharField(help_text="Space-separated scopes that the access token holds.")
    tenant = serializers.CharField(allow_null=True, help_text="Slug of the tenant that the token is for.")
    role = serializers.CharField(allow_null=True)


class TokensSerializer(AccessTokenSerializer):
    """An access token, and the refresh token that gets the next one."""

    refresh_token = serializers.CharField(help_text="Opaque. Good once; every refresh returns the next one.")


class SecondFactorTokensSerializer(TokensSerializer):
    """Tokens, and what comes with a second factor that was set up on the way."""

    recovery_codes = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Only with the first second factor: each is good once, and nobody sees them again.",
    )


class EnrollingSerializer(serializers.Serializer[Any]):
    """An authenticator app that is being set up."""

    expires_in = serializers.IntegerField(help_text="Seconds until the challenge is good no more.")
    secret = serializers.CharField(help_text="For an app that reads no QR codes: base32, as people type it.")
    otpauth_uri = serializers.CharField(help_text="What the QR code holds.")


class PasskeyRequestSerializer(serializers.Serializer[Any]):
    """What a browser is to be asked for."""

    expires_in = serializers.IntegerField(help_text="Seconds until it is good no more.")
    options = serializers.DictField(help_text="For `PublicKeyCredential.parseRequestOptionsFromJSON`.")


class VerifiedSerializer(serializers.Serializer[Principal]):
    """What a verified token is good for."""

    kind = serializers.CharField(help_text="`member`, `person` outside any tenant, `client`, or `support`.")
    id = serializers.UUIDField()
    tenant_id = serializers.UUIDField(allow_null=True)
    role = serializers.CharField(allow_null=True)
    scopes = serializers.SerializerMethodField()

    def get_scopes(self, principal: Principal) -> list[str]:
        return sorted(principal.scopes)


def device_of(request: Request) -> Device:
    """Return where a request comes from."""
    return Device(request.META.get("REMOTE_ADDR") or None, request.META.get("HTTP_USER_AGENT", ""))
