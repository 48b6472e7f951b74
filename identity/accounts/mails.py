"""The mails about accounts: what their templates are told. Secrets are computed here, at the moment of sending."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from identity.accounts import links, selectors
from identity.accounts.models import User
from identity.mail import templates
from identity.mail.templates import Builder, Variables


def register() -> None:
    """Declare them (see ``identity.mail.templates``)."""
    templates.register("confirm", _with_link("verify-email"))
    templates.register("confirm_new_address", _with_link("verify-email"))
    templates.register("reset", _with_link("reset-password"))
    templates.register("reset_forced", _with_link("reset-password"))
    templates.register("choose_password", _with_link("reset-password"))
    templates.register("account_exists", _plain)
    templates.register("no_account", _plain)
    templates.register("password_changed", _to_person)
    templates.register("address_changed", _to_person)


def _with_link(page: str) -> Builder:
    """Return the builder of a mail with a link to a page of the frontend.

    The token is in the fragment, which browsers keep to themselves: it gets into no server's log and no Referer.
    """

    def build(context: Mapping[str, Any]) -> Variables | None:
        link = links.open_link(UUID(context["link"]))
        if link is None or link.user is None or link.email != context["email"]:
            return None
        token = links.token_of(link)
        return {
            "token": token,
            "link": f"{settings.FRONTEND_URL}/{page}#token={token}",
            "until": link.expires_at,
            "name": _name(link.user),
        }

    return build


def _plain(context: Mapping[str, Any]) -> Variables:
    return {"link": settings.FRONTEND_URL}


def _to_person(context: Mapping[str, Any]) -> Variables | None:
    user = selectors.user_or_none(UUID(context["user"]))
    return None if user is None else {"link": settings.FRONTEND_URL, "name": _name(user)}


def _name(user: User) -> str:
    """Return what to call somebody. Whoever has not proved an address yet does not choose what we write to it."""
    return user.name if user.email_verified_at else ""
