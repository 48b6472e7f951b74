"""Signing in by a provider at a running server, from the first request to the last; and people in a hurry."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings
from django.db import connections

from identity.accounts.models import User
from identity.mail.models import OutgoingMail
from identity.oidc.attempts import Outcome
from identity.oidc.models import Attempt
from identity.social import services
from identity.social.errors import IdentityTaken, LastWayIn
from identity.social.models import LinkedIdentity
from identity.social.services import Told
from tests.conftest import API_HOST
from tests.openid_provider import OpenIdProvider
from tests.serving import ask_once, serving
from tests.social import RETURN_TO, query_of

EMAIL = "hurried@elsewhere.test"
KEYCLOAK = {"keycloak": {"issuer": "https://keycloak.test", "client_id": "c", "client_secret": "s"}}


@pytest.fixture
def _tidy(unwrapped: None) -> Any:
    yield
    User.objects.filter(email=EMAIL).delete()
    Attempt.objects.all().delete()
    OutgoingMail.objects.all().delete()


def told(email: str = EMAIL, subject: str = "s") -> dict[str, Any]:
    content = Told("https://keycloak.test", subject, email, is_vouched_for=True, name="", has_second_factor=False)
    return content.to_json()


def outcome(kind: str, user: User | None = None, **about: Any) -> Outcome:
    extra = {"tenant": None, "scope": ""}
    return Outcome(kind, "keycloak", None, user.pk if user else None, extra, told(**about))


def at_once(number: int, work: Any) -> list[Any]:
    """What each of so many does at the same moment, or the kind of error that it ends in."""

    def once(index: int) -> Any:
        try:
            return work(index)
        except Exception as error:  # noqa: BLE001 -- which one it is, is what tests ask
            return type(error)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(once, range(number)))


@pytest.mark.usefixtures("_tidy")
def test_from_a_browser_to_tokens(openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    client = openid_provider.add_client(f"{settings.ISSUER}/auth/social/callback")
    values = {name: getattr(client, name) for name in ("issuer", "client_id", "client_secret")}
    monkeypatch.setenv("SOCIAL_PROVIDERS", json.dumps({"keycloak": values}))
    account = openid_provider.set_account("hurried", email=EMAIL)
    verifier = secrets.token_urlsafe(48)
    begun = {"return_to": RETURN_TO, "code_challenge": create_s256_code_challenge(verifier)}
    with serving(2) as ports:  # which share nothing but the database
        first, second = ports
        started = ask_once(first, "POST", "/api/v1/auth/social/keycloak/start", host=API_HOST, body=begun)
        back = urlsplit(openid_provider.sign_in(started.json["authorization_url"], account))
        import http.client

        browser = http.client.HTTPConnection("127.0.0.1", second, timeout=20)
        browser.request("GET", f"{back.path}?{back.query}", headers={"Host": API_HOST})
        answer = browser.getresponse()
        answer.read()
        browser.close()
        assert (answer.status, answer.headers["Referrer-Policy"]) == (302, "no-referrer")
        assert answer.headers["Cache-Control"] == "no-store"
        finish = {"code": query_of(answer.headers["Location"])["code"], "code_verifier": verifier}
        tokens = ask_once(first, "POST", "/api/v1/auth/federated", host=API_HOST, body=finish)
        assert tokens.status == 200, tokens.body
        me = ask_once(second, "GET", "/api/v1/me", host=API_HOST, token=tokens.json["access_token"])
        assert me.json["email"] == EMAIL
        again = ask_once(second, "POST", "/api/v1/auth/federated", host=API_HOST, body=finish)
        assert again.outcome == (400, "invalid_code")


@pytest.mark.usefixtures("_tidy")
def test_who_comes_several_times_at_once_gets_one_account() -> None:
    found = at_once(6, lambda _: services.admit(outcome(services.SIGN_IN)).user.pk)
    assert len(set(found)) == 1
    assert LinkedIdentity.objects.filter(user__email=EMAIL).count() == 1


@pytest.mark.usefixtures("_tidy")
def test_of_two_last_ways_in_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SOCIAL_PROVIDERS", KEYCLOAK)
    user = services.admit(outcome(services.SIGN_IN)).user
    for subject in ("2", "3", "4"):
        services.link(user_id=user.pk, outcome=outcome(services.LINK, user, subject=subject))
    rows = list(LinkedIdentity.objects.filter(user=user).values_list("pk", flat=True))
    assert len(rows) == 4
    found = at_once(4, lambda index: services.unlink(user_id=user.pk, identity_id=rows[index]))
    assert sorted(map(str, found)) == sorted(map(str, [None, None, None, LastWayIn]))
    assert LinkedIdentity.objects.filter(user=user).count() == 1


@pytest.mark.usefixtures("_tidy")
def test_of_two_who_link_the_same_identity_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SOCIAL_PROVIDERS", KEYCLOAK)
    people = [User.objects.get(email=email) for email in ("member@acme.test", "viewer@acme.test")]
    try:
        found = at_once(
            2,
            lambda index: (
                services.link(
                    user_id=people[index].pk, outcome=outcome(services.LINK, people[index], subject="both")
                ).user_id
            ),
        )
        assert found.count(IdentityTaken) == 1
        assert LinkedIdentity.objects.filter(subject="both").count() == 1
    finally:
        LinkedIdentity.objects.filter(subject="both").delete()
