"""Browsers at a tenant's host, for tests: what they send and keep."""

import hashlib
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session as Stored
from django.test import Client

from config.demo_data import PASSWORD
from tests.conftest import ACME

COOKIE = settings.SESSION_COOKIE_NAME
MEMBER = "member@acme.test"
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as browsers say it


class Browser(Client):
    """A browser at one host, which other sites may use."""

    def __init__(self, host: str = ACME) -> None:
        super().__init__(enforce_csrf_checks=True, raise_request_exception=False, HTTP_HOST=host, HTTP_ACCEPT=ACCEPT)

    def token(self, page: str = "/sign-in") -> str:
        """The CSRF token of a page's form."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(page).content.decode())
        assert found, page
        return found[1]

    def send(self, path: str, **fields: str) -> Any:
        page = "/account" if path == "/sign-out" else "/sign-in"
        return self.post(path, {"csrfmiddlewaretoken": self.token(page), **fields})

    def sign_in(self, email: str = MEMBER, password: str = PASSWORD, **fields: str) -> Any:
        return self.send("/sign-in", email=email, password=password, **fields)

    @property
    def key(self) -> str:
        return self.cookies[COOKIE].value if COOKIE in self.cookies else ""


@pytest.fixture
def browser(db: None) -> Browser:
    return Browser()


@pytest.fixture
def signed_in(browser: Browser) -> Browser:
    assert browser.sign_in().status_code == 302
    return browser


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/account").status_code == 200


def stored(browser: Browser) -> Stored:
    return Stored.objects.get(session_key=hashlib.sha256(browser.key.encode()).hexdigest()[:40])


def expire_claims(browser: Browser) -> None:
    """Let the claims that a session keeps be over, as they are after some minutes."""
    session = browser.session
    row = stored(browser)
    data = session.decode(row.session_data)
    data["sign_in"]["claims"]["exp"] = 1
    row.session_data = session.encode(data)
    row.save()
