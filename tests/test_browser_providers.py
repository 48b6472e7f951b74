"""Signing in with a browser, by the pages, by a provider: one of the platform's, or a tenant's own."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.sessions.models import Session as Stored

from identity.accounts.models import User
from identity.oidc import discovery
from identity.oidc.models import Attempt
from identity.sessions.models import Session
from tenants.registry.models import Tenant
from tests.browsing import Browser, is_signed_in
from tests.conftest import ACME, API_HOST, Call
from tests.openid_provider import OpenIdProvider
from tests.social import configure
from tests.sso import ADDRESS, connected, prove


@pytest.fixture
def provider(openid_provider: OpenIdProvider, settings: Any) -> OpenIdProvider:
    configure(settings, openid_provider)
    discovery.forget()
    return openid_provider


def choices(browser: Browser, page: str = "/sign-in") -> dict[str, str]:
    """The buttons of the sign-in page, by what is on them: name and value."""
    found = re.findall(r'name="(provider|connection)" value="([^"]+)">([^<]+)<', browser.get(page).content.decode())
    return {label: f"{name}={value}" for name, value, label in found}


def begin(browser: Browser, label: str, **fields: str) -> str:
    """Press a button, and return where the browser goes."""
    name, _, value = choices(browser)[label].partition("=")
    answer = browser.send("/sign-in/provider", **{name: value, **fields})
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def come_back(callback: str) -> str:
    """Follow the provider's redirect to our callback, and return where that leads."""
    parts = urlsplit(callback)
    answer = Browser(API_HOST).get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def finish(browser: Browser, location: str) -> Any:
    parts = urlsplit(location)
    assert (parts.netloc, parts.path) == (ACME, "/sign-in/return")
    return browser.get(f"{parts.path}?{parts.query}")


def test_one_signs_in_by_a_tenants_own_provider(browser: Browser, call: Call, provider: OpenIdProvider) -> None:
    prove()
    connected(call, provider)
    provider.set_account("ada", email=ADDRESS)
    url = begin(browser, "Sign in with Own", next="/account?tab=1")
    answer = finish(browser, come_back(provider.sign_in(url, "ada")))

    assert (answer.status_code, answer["Location"]) == (302, "/account?tab=1")
    assert ADDRESS in browser.get("/account").content.decode()
    assert Session.objects.get(user__email=ADDRESS).way == "sso"


def test_one_signs_in_by_a_provider_that_the_platform_trusts(browser: Browser, provider: OpenIdProvider) -> None:
    provider.set_account("new", email="new@elsewhere.test")
    answer = finish(browser, come_back(provider.sign_in(begin(browser, "Sign in with Keycloak"), "new")))

    assert answer.status_code == 403, "an account, and no place in this tenant"
    assert "not an active member" in answer.content.decode()
    assert User.objects.filter(email="new@elsewhere.test").exists()
    assert not is_signed_in(browser)


def test_the_code_is_nothing_in_another_browser(browser: Browser, call: Call, provider: OpenIdProvider) -> None:
    prove()
    connected(call, provider)
    provider.set_account("ada", email=ADDRESS)
    location = come_back(provider.sign_in(begin(browser, "Sign in with Own"), "ada"))
    other, waiting = Browser(), Browser()
    begin(waiting, "Sign in with Own")

    assert finish(other, location).status_code == 401
    assert finish(waiting, location).status_code == 400
    assert not is_signed_in(other)
    assert not is_signed_in(waiting)


def test_a_code_is_good_once(browser: Browser, call: Call, provider: OpenIdProvider) -> None:
    prove()
    connected(call, provider)
    provider.set_account("ada", email=ADDRESS)
    location = come_back(provider.sign_in(begin(browser, "Sign in with Own"), "ada"))

    assert finish(browser, location).status_code == 302
    assert finish(browser, location).status_code == 401
    assert is_signed_in(browser)


@pytest.mark.parametrize("query", ["", "code=", "code=x", "error=link_needed", "error=<b>x</b>", "code=" + "a" * 9000])
def test_coming_back_with_nothing_is_told(browser: Browser, provider: OpenIdProvider, query: str) -> None:
    begin(browser, "Sign in with Keycloak")
    answer = browser.get(f"/sign-in/return?{query}")

    assert 400 <= answer.status_code < 500
    assert ("link_needed" in answer.content.decode()) is ("link_needed" in query)
    assert "<b>" not in answer.content.decode()


def test_it_begins_by_a_form_of_ours_alone(browser: Browser, provider: OpenIdProvider) -> None:
    assert browser.post("/sign-in/provider", {"provider": "keycloak"}).status_code == 403
    assert browser.get("/sign-in/provider").status_code == 405
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [{}, {"provider": "unheard-of"}, {"connection": "x"}, {"connection": "0b0f6c3e-0000-4000-8000-000000000000"}],
)
def test_a_provider_that_there_is_not_is_told(browser: Browser, provider: OpenIdProvider, fields: Any) -> None:
    answer = browser.send("/sign-in/provider", **fields)

    assert answer.status_code == 400
    assert "by that provider" in answer.content.decode()


def test_another_tenants_provider_is_none_here(browser: Browser, call: Call, provider: OpenIdProvider) -> None:
    prove("globex")
    row = connected(call, provider, "globex_owner")

    assert "Sign in with Own" not in choices(browser)
    assert browser.send("/sign-in/provider", connection=row["id"]).status_code == 400


def test_a_tenant_shows_the_ways_that_it_allows(browser: Browser, provider: OpenIdProvider) -> None:
    Tenant.objects.filter(slug="acme").update(sign_in_policy={"ways": ["passkey", "password"]})

    assert choices(browser) == {}


def test_what_is_kept_meanwhile_is_short_lived(browser: Browser, provider: OpenIdProvider) -> None:
    begin(browser, "Sign in with Keycloak")
    row = Stored.objects.latest("expire_date")

    assert browser.cookies["session"]["max-age"] == 600
    assert browser.key not in row.session_data
