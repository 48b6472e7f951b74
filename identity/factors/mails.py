"""The mails about second factors: what their templates are told."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from identity.accounts import selectors as accounts
from identity.factors import selectors
from identity.factors.models import Kind
from identity.mail import templates
from identity.mail.templates import Variables

_WORDS = {Kind.TOTP.value: "An authenticator app", Kind.PASSKEY.value: "A passkey"}


def register() -> None:
    """Declare them (see ``identity.mail.templates``)."""
    for name in (
        "second_factor_added",
        "second_factor_removed",
        "second_factors_reset",
        "recovery_codes_made",
        "recovery_code_used",
    ):
        templates.register(name, _to_person)


def _to_person(context: Mapping[str, Any]) -> Variables | None:
    user = accounts.user_or_none(UUID(context["user"]))
    if user is None:
        return None
    return {
        "link": settings.FRONTEND_URL,
        "name": user.name if user.email_verified_at else "",
        "what": _WORDS.get(context.get("kind", ""), ""),
        "left": selectors.recovery_codes_left(user.pk),
    }
