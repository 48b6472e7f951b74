"""System checks: a host is one thing."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from tenants.registry.names import normalize_host


@register()
def check_operator_host(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a host for operators that is an API host too, or that no request's host is ever equal to."""
    host = settings.OPERATOR_HOST
    if not host or (host not in settings.API_HOSTS and host == normalize_host(host)):
        return []
    hint = "Name a host that is not in API_HOSTS, without scheme and port."
    return [Error(f"OPERATOR_HOST is {host!r}.", hint=hint, id="tenants.E011")]
