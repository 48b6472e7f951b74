"""Signing in by a provider that the platform trusts: a certified one over HTTP. Who gets in, who does not, and how an
identity is linked and unlinked.
"""

from typing import Any

import pytest
from django.core.checks import run_checks

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.accounts.signals import email_verified
from identity.mail.models import OutgoingMail
from identity.oidc import discovery
from identity.oidc.models import Attempt
from identity.sessions.models import Session
from identity.social.models import LinkedIdentity
from tenants.audit.models import AuditEvent
from tests.conftest import ACME, API_HOST, CAST, GLOBEX, Call
from tests.mailed import mails_to
from tests.openid_provider import OpenIdProvider
from tests.second_factors import Person
from tests.second_factors import both as both  # noqa: PLC0414 -- a fixture
from tests.second_factors import with_app as with_app  # noqa: PLC0414 -- as above
from tests.social import IDENTITIES, RETURN_TO, Visitor, configure
from tests.test_members import code


@pytest.fixture
def provider(openid_provider: OpenIdProvider, settings: Any) -> OpenIdProvider:
    configure(settings, openid_provider)
    discovery.forget()
    return openid_provider


def linked(call: Call, provider: OpenIdProvider, actor: str, account: str, **claims: Any) -> dict[str, Any]:
    """Link an actor's identity at the provider."""
    visitor = Visitor(call, actor=actor, host=CAST[actor].host)
    response = visitor.go(provider, provider.set_account(account, **claims))
    assert response.status_code == 201, response.content
    row: dict[str, Any] = response.json()
    return row


def token_of(response: Any) -> str:
    assert response.status_code == 200, response.content
    token: str = response.json()["access_token"]
    return token


def test_providers_are_listed_for_anybody(call: Call, provider: OpenIdProvider) -> None:
    response = call("nobody", "GET", "/api/v1/auth/social/providers")
    assert response.json() == {"results": [{"key": "keycloak", "name": "Keycloak"}]}
    assert Visitor(call, "unheard-of").start().json()["code"] == "unknown_provider"


def test_whom_the_provider_vouches_for_gets_an_account(call: Call, provider: OpenIdProvider) -> None:
    proved: list[str] = []
    listener = lambda email, **_: proved.append(email)  # noqa: E731 -- kept, so that it is not forgotten
    email_verified.connect(listener)
    provider.set_account("new", email="New.Comer@Elsewhere.test", name="New\tComer")
    try:
        token = token_of(Visitor(call).go(provider, "new"))
    finally:
        email_verified.disconnect(listener)
    assert proved == ["new.comer@elsewhere.test"]
    me = call("nobody", "GET", "/api/v1/me", host=API_HOST, HTTP_AUTHORIZATION=f"Bearer {token}").json()
    assert (me["email"], me["name"], me["email_verified"]) == ("new.comer@elsewhere.test", "NewComer", True)
    user = User.objects.get(email="new.comer@elsewhere.test")
    assert not user.has_usable_password()
    session = Session.objects.get(user=user)
    assert (session.way, session.methods) == ("social", ["fed"])
    told = AuditEvent.objects.filter(targets__0__id=str(user.pk)).order_by("id")
    assert {event.action for event in told} == {"account.registered", "account.identity_linked"}
    assert not Attempt.objects.exists()
    # The second time it is the same account.
    assert token_of(Visitor(call).go(provider, "new"))
    assert Session.objects.filter(user=user).count() == 2


def test_an_address_that_has_an_account_opens_nothing(call: Call, provider: OpenIdProvider) -> None:
    provider.set_account("evil", email="member@acme.test", email_verified=True)
    response = Visitor(call).go(provider, "evil")
    assert (response.status_code, code(response)) == (403, "link_needed")
    assert not LinkedIdentity.objects.exists()


def test_an_address_that_nobody_vouches_for_makes_no_account(call: Call, provider: OpenIdProvider) -> None:
    claims: list[dict[str, Any]] = [
        {"email": "a@elsewhere.test", "email_verified": False},
        {"email": "member@acme.test", "email_verified": False},
        {"email": "a@elsewhere.test", "email_verified": "true"},
        {"email": None},
        {"email": "no address"},
        {"email": f"{'a' * 250}@elsewhere.test"},
    ]
    before = User.objects.count()
    for number, each in enumerate(claims):
        provider.set_account(f"unverified-{number}", **each)
        response = Visitor(call).go(provider, f"unverified-{number}")
        assert (response.status_code, code(response)) == (403, "address_unverified"), each
    assert User.objects.count() == before


def test_a_linked_identity_signs_in_whatever_its_address_becomes(call: Call, provider: OpenIdProvider) -> None:
    row = linked(call, provider, "acme_member", "m", email="m@elsewhere.test")
    assert (row["provider"], row["email"], row["last_used_at"]) == ("keycloak", "m@elsewhere.test", None)
    assert mails_to("member@acme.test") == ["Another way to sign in was added to your Tenantry account"]
    for claims in ({"email": "owner@globex.test"}, {"email": "x@y.test", "email_verified": False}, {"email": None}):
        provider.set_account("m", **claims)
        response = Visitor(call).go(provider, "m")
        assert response.json()["tenant"] == "acme"
    assert User.objects.get(email="member@acme.test").identities.get().email == ""
    # Whoever gets the former address over there gets nothing of it here.
    provider.set_account("heir", email="m@elsewhere.test")
    response = Visitor(call).go(provider, "heir")
    assert response.json()["tenant"] is None


def test_a_closed_account_is_as_good_as_unknown(call: Call, provider: OpenIdProvider) -> None:
    linked(call, provider, "acme_member", "m", email="member@acme.test")
    token = token_of(Visitor(call).go(provider, "m"))
    accounts.set_active(user_id=User.objects.get(email="member@acme.test").pk, is_active=False)
    asked = call("nobody", "GET", "/api/v1/me", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (asked.status_code, code(asked)) == (401, "invalid_token")
    assert code(Visitor(call).go(provider, "m")) == "link_needed"
    provider.set_account("m", email="free@elsewhere.test")
    assert code(Visitor(call).go(provider, "m")) == "link_needed"
    assert not User.objects.filter(email="free@elsewhere.test").exists()
    provider.set_account("m", email_verified=False)
    assert code(Visitor(call).go(provider, "m")) == "address_unverified"


def test_it_enters_the_tenant_of_the_host_or_the_named_one(call: Call, provider: OpenIdProvider) -> None:
    linked(call, provider, "acme_member", "m")
    assert Visitor(call, host=ACME).go(provider, "m").json()["tenant"] == "acme"
    assert Visitor(call).go(provider, "m", tenant="acme").json()["tenant"] == "acme"
    assert code(Visitor(call).go(provider, "m", tenant="globex")) == "not_a_member"
    narrow = Visitor(call).go(provider, "m", scope="profile:read").json()
    assert narrow["scope"] == "profile:read"
    begun = Visitor(call, host=ACME).begin()
    told = begun.come_back(provider.sign_in(begun.url, "m"))
    begun.host = GLOBEX
    assert code(begun.finish(told["code"])) == "tenant_mismatch"


def test_a_second_factor_is_asked_for_all_the_same(call: Call, provider: OpenIdProvider, with_app: Person) -> None:
    visitor = Visitor(call, key="keycloak")
    headers = {"HTTP_AUTHORIZATION": f"Bearer {with_app.token}"}
    provider.set_account("b", email="both@people.test", amr=["pwd"])
    body = {"return_to": RETURN_TO, "code_challenge": "c" * 43}
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    body["code_challenge"] = create_s256_code_challenge(visitor.verifier)
    started = call("nobody", "POST", f"{IDENTITIES}/keycloak/start", body, host=API_HOST, **headers)
    told = visitor.come_back(provider.sign_in(started.json()["authorization_url"], "b"))
    finish = {"code": told["code"], "code_verifier": visitor.verifier}
    assert call("nobody", "POST", IDENTITIES, finish, host=API_HOST, **headers).status_code == 201

    waiting = Visitor(call).go(provider, "b")
    assert (waiting.status_code, code(waiting)) == (401, "second_factor_required")
    assert with_app.answer(waiting.json()["challenge"], code=with_app.code()).status_code == 200
    assert Session.objects.filter(way="social").get().methods == ["fed", "otp", "mfa"]
    # A provider that says it has asked for two is believed.
    provider.set_account("b", amr=["pwd", "otp", "mfa"])
    assert token_of(Visitor(call).go(provider, "b"))


def test_linking_takes_whoever_began_it(call: Call, provider: OpenIdProvider) -> None:
    provider.set_account("victim", email="victim@elsewhere.test")
    attacker = Visitor(call, actor="acme_member", host=ACME).begin()
    told = attacker.come_back(provider.sign_in(attacker.url, "victim"))  # the victim's browser was led there
    victim = Visitor(call, actor="acme_admin", host=ACME, verifier=attacker.verifier)
    assert code(victim.finish(told["code"])) == "invalid_code"
    assert code(attacker.finish(told["code"])) == "invalid_code"  # it was used up
    told = attacker.begin().come_back(provider.sign_in(attacker.url, "victim"))
    assert code(Visitor(call, verifier=attacker.verifier).finish(told["code"])) == "invalid_code"  # signs nobody in
    assert attacker.finish(told["code"]).status_code == 201
    begun = Visitor(call).begin()
    told = begun.come_back(provider.sign_in(begun.url, "victim"))
    other = Visitor(call, actor="acme_member", host=ACME, verifier=begun.verifier)
    assert code(other.finish(told["code"])) == "invalid_code"  # a sign-in links nothing


def test_somebody_elses_identity_is_not_linked(call: Call, provider: OpenIdProvider) -> None:
    linked(call, provider, "acme_member", "m")
    again = linked(call, provider, "acme_member", "m")  # one's own: nothing changes
    assert User.objects.get(email="member@acme.test").identities.count() == 1
    taken = Visitor(call, actor="acme_admin", host=ACME).go(provider, "m")
    assert (taken.status_code, code(taken)) == (409, "identity_taken")
    assert call("acme_admin", "GET", IDENTITIES).json()["results"] == []
    assert call("acme_admin", "DELETE", f"{IDENTITIES}/{again['id']}").status_code == 404
    assert call("acme_member", "GET", IDENTITIES).json()["results"] == [again]


def test_an_account_is_linked_to_ten_identities_at_most(call: Call, provider: OpenIdProvider) -> None:
    user = User.objects.get(email="member@acme.test")
    for number in range(10):
        LinkedIdentity.objects.create(user=user, provider="x", issuer="https://x.test", subject=str(number))
    provider.set_account("m")
    assert code(Visitor(call, actor="acme_member", host=ACME).go(provider, "m")) == "too_many_identities"


def test_a_claim_is_linked_to_nothing(call: Call, provider: OpenIdProvider) -> None:
    """Whoever registers somebody else's address first would keep a way in after its owner has proved it."""
    User.objects.filter(email="member@acme.test").update(email_verified_at=None)
    provider.set_account("m")
    assert code(Visitor(call, actor="acme_member", host=ACME).go(provider, "m")) == "address_unconfirmed"


def test_unlinking_ends_no_session_and_is_told(call: Call, provider: OpenIdProvider) -> None:
    row = linked(call, provider, "acme_member", "m")
    token = token_of(Visitor(call).go(provider, "m"))
    OutgoingMail.objects.all().delete()
    assert call("acme_member", "DELETE", f"{IDENTITIES}/{row['id']}").status_code == 204
    assert mails_to("member@acme.test") == ["A way to sign in was removed from your Tenantry account"]
    event = AuditEvent.objects.get(action="account.identity_unlinked")
    assert event.changes == {"provider": ["keycloak", None]}
    assert call("nobody", "GET", "/api/v1/me", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    provider.set_account("m", email="member@acme.test")
    assert code(Visitor(call).go(provider, "m")) == "link_needed"


def test_the_last_way_in_stays(call: Call, provider: OpenIdProvider, settings: Any) -> None:
    provider.set_account("new", email="new@elsewhere.test")
    headers = {"HTTP_AUTHORIZATION": f"Bearer {token_of(Visitor(call).go(provider, 'new'))}", "host": API_HOST}
    (row,) = call("nobody", "GET", IDENTITIES, **headers).json()["results"]
    path = f"{IDENTITIES}/{row['id']}"
    refused = call("nobody", "DELETE", path, **headers)
    assert (refused.status_code, code(refused)) == (409, "last_way_in")
    user = User.objects.get(email="new@elsewhere.test")
    # By a provider that there is no more nobody comes in.
    gone = LinkedIdentity.objects.create(user=user, provider="gone", issuer="https://gone.test", subject="1")
    assert code(call("nobody", "DELETE", path, **headers)) == "last_way_in"
    assert call("nobody", "DELETE", f"{IDENTITIES}/{gone.pk}", **headers).status_code == 204
    LinkedIdentity.objects.create(user=user, provider="keycloak", issuer=provider.issuer, subject="another")
    assert call("nobody", "DELETE", path, **headers).status_code == 204


def test_it_takes_a_recent_sign_in(call: Call, provider: OpenIdProvider, settings: Any) -> None:
    from datetime import timedelta

    settings.STEP_UP_MAX_AGE = timedelta(seconds=-1)
    body = {"return_to": RETURN_TO, "code_challenge": "c" * 43}
    for method, path in (
        ("POST", f"{IDENTITIES}/keycloak/start"),
        ("POST", IDENTITIES),
        ("DELETE", f"{IDENTITIES}/7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10"),
    ):
        response = call("acme_member", method, path, body)
        assert code(response) == "insufficient_user_authentication", path


@pytest.mark.parametrize(
    "foreign",
    [
        "https://evil.test/",
        "http://localhost:8000@evil.test/",
        "http://localhost:8000.evil.test/",
        "http://localhost:8001/",
        "https://localhost:8000/",
        "//localhost:8000/",
        "/signed-in",
        "javascript:alert(1)",
        "http://localhost:8000\\@evil.test/",
        "http://localhost:8000/ x",
        "http://localhost:8000/\tx",
        "http://user@localhost:8000/",
        "http://localhost:8000/#x",
        "http://globex.localhost:8000/",
        "http://nowhere.localhost:8000/",
        "http://acme.localhost/",
        "http://[::1/",
        "http://localhost:port/",
        "http://löcalhost:8000/",
    ],
)
def test_nobody_is_sent_on_to_elsewhere(call: Call, provider: OpenIdProvider, foreign: str) -> None:
    response = Visitor(call, host=ACME).start(return_to=foreign)
    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]] == ["foreign_return_to"]


def test_pages_of_ours_and_of_the_tenant_are_come_back_to(call: Call, provider: OpenIdProvider, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    for url in ("http://localhost:8000/a?b=c", "https://app.example.com:443/", "http://acme.localhost:8000/x"):
        assert Visitor(call, host=ACME).start(return_to=url).status_code == 200
    assert Visitor(call).start(return_to="http://acme.localhost:8000/x", tenant="acme").status_code == 200
    assert Visitor(call).start(return_to="http://acme.localhost:8000/x").status_code == 400
    assert Visitor(call).start(return_to="http://acme.localhost:8000/x", tenant="unheard-of").status_code == 400


def test_what_comes_in_is_looked_at(call: Call, provider: OpenIdProvider) -> None:
    visitor = Visitor(call)
    for wrong in ("", "c" * 42, "c" * 44, "c" * 42 + "=", "c" * 42 + "\n", 5, None, ["c" * 43]):
        assert visitor.start(code_challenge=wrong).status_code == 400, wrong
    assert visitor.start(more=1).status_code == 400
    assert call("nobody", "POST", "/api/v1/auth/social/keycloak/start", [], host=API_HOST).status_code == 400
    for verifier in ("v" * 42, "v" * 129, "v" * 42 + "\n", "ü" * 43):
        body = {"code": "c", "code_verifier": verifier}
        assert call("nobody", "POST", "/api/v1/auth/federated", body, host=API_HOST).status_code == 400
    for query in ("", "state=", "state=a&state=b", f"state={'s' * 5000}", "state=%00", "code=x&state=%FF"):
        response = call("nobody", "GET", f"/auth/social/callback?{query}", host=API_HOST)
        assert (response.status_code, code(response)) == (400, "unknown_attempt"), query
    assert call("nobody", "HEAD", "/auth/social/callback?state=x", host=API_HOST).status_code == 405
    assert call("nobody", "GET", "/auth/social/callback?state=x", host=ACME).status_code == 404


def test_the_browser_is_told_what_went_wrong(call: Call, provider: OpenIdProvider, settings: Any) -> None:
    begun = Visitor(call).begin(return_to=f"{RETURN_TO}?a=b&code=old")
    told = begun.come_back(provider.sign_in(begun.url, "stranger"))
    assert told["error"] == "provider_refused"
    assert (told["a"], told["code"]) == ("b", "old")
    begun.begin()
    back = provider.sign_in(begun.url, provider.set_account("m"))
    settings.SOCIAL_PROVIDERS = {}
    assert begun.come_back(back)["error"] == "unknown_provider"


def test_the_clients_secret_is_in_no_url_and_no_answer(call: Call, provider: OpenIdProvider, settings: Any) -> None:
    secret = settings.SOCIAL_PROVIDERS["keycloak"]["client_secret"]
    begun = Visitor(call).begin()
    assert secret not in begun.url
    assert begun.asked["code_challenge_method"] == "S256"
    assert begun.asked["code_challenge"] not in {begun.verifier, ""}
    settings.SOCIAL_PROVIDERS["keycloak"]["client_secret"] = "wrong"
    told = begun.come_back(provider.sign_in(begun.url, provider.set_account("m")))
    assert told["error"] == "provider_refused"
    assert "wrong" not in told["error_description"]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ([], "object"),
        ({"Google!": {}}, "small letters"),
        ({"google": []}, "object of texts"),
        ({"google": {"client_id": "a", "client_secret": 5}}, "object of texts"),
        ({"google": {"client_id": "a"}}, "client_secret"),
        ({"google": {"client_id": "a", "client_secret": "s3cret", "issuer": "x"}}, "it has 'issuer'"),
        ({"other": {"client_id": "a", "client_secret": "s3cret"}}, "'issuer' is no https URL"),
        ({"other": {"client_id": "a", "client_secret": "s3cret", "issuer": "ftp://x"}}, "no https URL"),
        ({"google": {"client_id": "a", "client_secret": "s3cret", "scope": "email"}}, "lacks 'openid'"),
        ({"microsoft": {"client_id": "a", "client_secret": "s3cret", "tenant": "a/b"}}, "tenant"),
        ({"github": {"client_id": "a", "client_secret": "s3cret", "url": "nowhere"}}, "'url'"),
    ],
)
def test_settings_that_mean_nothing_are_refused_at_the_start(settings: Any, said: Any, word: str) -> None:
    settings.SOCIAL_PROVIDERS = said
    (error,) = [each for each in run_checks() if each.id == "social.E001"]
    assert word in error.msg
    assert "s3cret" not in error.msg
