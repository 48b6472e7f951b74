"""A system check: mail has an address to come from."""

from collections.abc import Sequence
from email.utils import parseaddr
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email


@register()
def check_sender(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error when no server would take mail from us."""
    try:
        validate_email(parseaddr(settings.DEFAULT_FROM_EMAIL)[1])
    except ValidationError:
        hint = "Set EMAIL_FROM to an address, such as `Example <no-reply@example.com>`."
        return [Error(f"{settings.DEFAULT_FROM_EMAIL!r} is no address to send mail from.", hint=hint, id="mail.E001")]
    return []
