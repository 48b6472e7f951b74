"""A system check: what the settings name is there."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.password_validation import validate_password
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured, ValidationError


@register(Tags.security)
def check_password_rules(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error when no password can be judged, or an empty one would pass."""
    try:
        validate_password("")
    except ImproperlyConfigured as error:
        return [Error(str(error), id="accounts.E001")]
    except ValidationError:
        return []
    return [Error("There is no rule for passwords.", id="accounts.E002")]
