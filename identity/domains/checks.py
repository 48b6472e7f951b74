"""A system check: the DNS can be asked."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from identity.domains import dns


@register
def check_nameservers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error when the settings name a resolver in a way that means nothing."""
    try:
        dns.nameservers()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="domains.E001")]
    return []
