"""A system check: the providers that the settings name can be signed in by."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from identity.social.providers import providers


@register(Tags.security)
def check_providers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with ``settings.SOCIAL_PROVIDERS``."""
    try:
        providers()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="social.E001")]
    return []
