"""Where the links in mails lead, as long as the product has no interface of its own for them (``FRONTEND_URL``).

The token is in the link's fragment: it reaches no server log and no other site. A page sends it to the API when
somebody presses the button, so that a mail scanner that follows links uses nothing up.
"""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path

from config.problems import get_only

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'"


@dataclass(frozen=True)
class Page:
    """One kind of link.

    Attributes:
        endpoint: where its token goes, with the fields that are filled in.
        asks_for: the field of the password that one chooses; empty when one chooses none.
        done: what the page says afterwards.
    """

    name: str
    title: str
    endpoint: str
    button: str
    done: str
    asks_for: str = ""
    asks_name: bool = False


PAGES = (
    Page(
        "verify-email",
        "Confirm your address",
        "/api/v1/auth/email/verify",
        "Confirm",
        "Your address is confirmed. You can sign in.",
    ),
    Page(
        "reset-password",
        "Choose a new password",
        "/api/v1/auth/password/reset",
        "Save",
        "Your password is changed. Sign in with the new one.",
        asks_for="new_password",
    ),
    Page(
        "accept-invitation",
        "Join",
        "/api/v1/invitations/accept",
        "Join",
        "You are in. Sign in with your address; if you have had an account before, with its own password.",
        asks_for="password",
        asks_name=True,
    ),
)


@get_only
def show(request: HttpRequest, page: Page) -> HttpResponseBase:
    """The page of a mailed link. It holds nothing of whoever it is for."""
    response: HttpResponse = render(request, "config/mailed_link.html", {"page": page})
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def urlpatterns() -> list[URLPattern]:
    """Return the routes of all pages."""
    return [path(page.name, show, {"page": page}, name=page.name) for page in PAGES]
