"""What begins and ends a sign-in by a provider, of whichever kind."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from identity.oidc import origins
from identity.oidc.models import CHALLENGE_LENGTH
from permissions.serializers import StrictSerializer

_CODE_LENGTH = 64


class BeginSerializer(StrictSerializer):
    """Where to come back to, and how to know who began.

    The context's ``tenant_id`` says which tenant's hosts count, if any do.

    Attributes:
        opens_one_tenant: see ``origins.is_allowed``.
    """

    opens_one_tenant = False

    return_to = serializers.CharField(
        max_length=origins.RETURN_TO_LENGTH,
        help_text="The page to which the browser comes back, with `code` or `error` and `error_description` in its "
        "query: at the front end, at a browser app of `CORS_ALLOWED_ORIGINS`, or at a host of the tenant.",
    )
    code_challenge = serializers.RegexField(
        rf"\A[A-Za-z0-9_-]{{{CHALLENGE_LENGTH}}}\Z",
        help_text="SHA-256, as base64url, of a random `code_verifier` that stays in this browser (RFC 7636, S256).",
    )

    def validate_return_to(self, value: str) -> str:
        """Refuse what is none of our pages."""
        tenant_id: UUID | None = self.context.get("tenant_id")
        if not origins.is_allowed(value, tenant_id=tenant_id, opens_one_tenant=self.opens_one_tenant):
            raise serializers.ValidationError("This is no page of ours, nor of the tenant.", code="foreign_return_to")
        return value


class BegunSerializer(serializers.Serializer[Any]):
    """Where the browser goes now."""

    authorization_url = serializers.CharField()


class CodeSerializer(StrictSerializer):
    """What the browser came back with, and the secret of who began."""

    code = serializers.CharField(max_length=_CODE_LENGTH, help_text="Of the query of `return_to`; good for a minute.")
    code_verifier = serializers.RegexField(
        r"\A[A-Za-z0-9._~-]{43,128}\Z", help_text="Of which `code_challenge` is the hash."
    )
