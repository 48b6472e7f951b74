"""The mails about identities that open an account: what their templates are told."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from identity.accounts import selectors as accounts
from identity.mail import templates
from identity.mail.templates import Variables
from identity.social.errors import UnknownProvider
from identity.social.providers import provider_by_key


def register() -> None:
    """Declare them (see ``identity.mail.templates``)."""
    for name in ("identity_linked", "identity_unlinked"):
        templates.register(name, _to_person)


def _to_person(context: Mapping[str, Any]) -> Variables | None:
    user = accounts.user_or_none(UUID(context["user"]))
    if user is None:
        return None
    try:
        provider = provider_by_key(context["provider"]).name
    except (UnknownProvider, ImproperlyConfigured):
        provider = context["provider"]
    return {"link": settings.FRONTEND_URL, "name": user.name, "provider": provider}
