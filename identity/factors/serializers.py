"""What somebody sends to prove a second factor, for every endpoint that takes one."""

import json
from typing import Any

from rest_framework import serializers

from identity.factors import challenges, recovery
from identity.factors.models import NAME_LENGTH
from identity.factors.proving import Answer
from permissions.serializers import StrictSerializer

_CREDENTIAL_BYTES = 16_384  # the longest keys and attestations are well below
_CODE = r"^[0-9]{3} ?[0-9]{3}$"
_FIELDS = ("code", "recovery_code", "credential")


class CredentialField(serializers.DictField):
    """A browser's PublicKeyCredential, as its ``toJSON()`` has it; what it says beyond what we read is let be."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and len(json.dumps(data)) > _CREDENTIAL_BYTES:
            raise serializers.ValidationError("This is too long for a passkey.", code="max_length")
        return super().to_internal_value(data)


def code_field(**options: Any) -> serializers.RegexField:
    """Return the field of an app's code, which people write with a space in the middle, or without."""
    return serializers.RegexField(
        _CODE, write_only=True, help_text="Six digits that the authenticator app shows.", **options
    )


def credential_field(**options: Any) -> CredentialField:
    """Return the field of a passkey's answer."""
    help_text = "What the browser's `navigator.credentials` returned, as its `toJSON()` has it."
    return CredentialField(write_only=True, help_text=help_text, **options)


def challenge_field() -> serializers.CharField:
    """Return the field of a challenge's text."""
    return serializers.CharField(max_length=challenges.LENGTH, write_only=True)


def name_field() -> serializers.CharField:
    """Return the field by which a factor is named."""
    return serializers.CharField(
        max_length=NAME_LENGTH, required=False, default="", allow_blank=True, help_text="What to call it."
    )


class AnswerSerializer(StrictSerializer):
    """A second factor: one of these.

    Attributes:
        is_needed: whether there has to be one.
    """

    code = code_field(required=False)
    recovery_code = serializers.CharField(
        max_length=recovery.LENGTH, required=False, write_only=True, help_text="It is good once."
    )
    credential = credential_field(required=False)

    is_needed = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Put what is given into ``answer``: an ``Answer``, or None."""
        given = [name for name in _FIELDS if name in attrs]
        if len(given) > 1 or (self.is_needed and not given):
            message = "Send one of code, recovery_code and credential."
            raise serializers.ValidationError(message, code="one_factor")
        answer = None
        if given:
            value = attrs[given[0]]
            answer = Answer(**{given[0]: value.replace(" ", "") if given[0] == "code" else value})
        return {**attrs, "answer": answer}
