"""What an attacker tries across the ways in: another kind of secret in each place, mangled ones, a sign-in that one
tenant vouches for at the doors of the person's own account, and a browser led to where somebody else reads along.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.db import transaction
from pyotp import TOTP

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.applications import codes, consents
from identity.applications import services as applications
from identity.applications.models import AuthorizationCode
from identity.factors.models import Challenge, RecoveryCode
from identity.oauth.grants import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from identity.oidc import discovery
from identity.oidc.models import Attempt
from identity.sessions.models import Session
from identity.sessions.proof import FEDERATED, MULTI_FACTOR, Proof, Way
from identity.sessions.services import Device
from identity.sso.models import Connection
from identity.tokens import services as tokens
from permissions.scopes import Scope
from tenants.registry import hosts
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, Call
from tests.openid_provider import OpenIdProvider
from tests.second_factors import ME, Person
from tests.second_factors import both as both  # noqa: PLC0414 -- a fixture
from tests.second_factors import with_app as with_app  # noqa: PLC0414 -- as above
from tests.social import IDENTITIES, Visitor, configure
from tests.test_browser_sessions import COOKIE, Browser

FORM = "application/x-www-form-urlencoded"
REDIRECT = "https://app.example.com/callback"
VERIFIER = "v" * 43


@pytest.fixture
def provider(openid_provider: OpenIdProvider, settings: Any) -> OpenIdProvider:
    configure(settings, openid_provider)
    discovery.forget()
    return openid_provider


# --- Every kind of secret, everywhere ---------------------------------------------------------------------------------


@dataclass
class Kinds:
    """Somebody who signs in in every way, with a good secret of every kind."""

    person: Person
    provider: OpenIdProvider
    new_secret: str
    application_id: str
    application_secret: str
    connection_id: str
    good: dict[str, str]


def one_time_code(call: Call, provider: OpenIdProvider) -> str:
    visitor = Visitor(call, verifier=VERIFIER).begin()
    return visitor.come_back(provider.sign_in(visitor.url, "k"))["code"]


@pytest.fixture
def kinds(with_app: Person, call: Call, provider: OpenIdProvider, scim_token: str, machine: tuple[str, str]) -> Kinds:
    user, acme = User.objects.get(email=with_app.email), Tenant.objects.get(slug="acme")
    session = Session.objects.filter(user=user, ended_at=None).latest("authenticated_at")
    scope = frozenset({"openid", "projects:read"})
    application, secret = applications.create_application(
        tenant_id=acme.pk,
        by=user.pk,
        held=scope,
        scope=["projects:read"],
        details={"name": "App", "redirect_uris": [REDIRECT]},
    )
    consents.give(application=application, user_id=user.pk, scope=scope)
    connection = Connection.objects.create(
        tenant=acme, name="P", issuer=provider.issuer, client_id="c", client_secret=b"", scope="openid"
    )
    provider.set_account("k", email="k@people.test")
    code = one_time_code(call, provider)
    begun = with_app.ask("POST", f"{ME}/totp").json()
    browser = Browser()
    assert browser.sign_in().status_code == 302
    return Kinds(
        with_app,
        provider,
        begun["secret"],
        str(application.pk),
        secret or "",
        str(connection.pk),
        {
            "password": PASSWORD,
            "access token": with_app.token,
            "refresh token": with_app.refresh_token,
            "challenge": with_app.waiting()["challenge"],
            "challenge of setting up": begun["challenge"],
            "app's secret": with_app.secret,
            "recovery code": with_app.codes[0],
            "state": Visitor(call).begin().asked["state"],
            "one-time code": code,
            "code verifier": VERIFIER,
            "authorization code": codes.issue(
                application=application,
                session=session,
                scope=scope,
                redirect_uri=REDIRECT,
                code_challenge=create_s256_code_challenge(VERIFIER),
                nonce="",
            ),
            "application's secret": secret or "",
            "machine's secret": machine[1],
            "SCIM token": scim_token,
            "browser's session": browser.key,
            "browser's CSRF token": browser.token(),
        },
    )


Use = Callable[[Call, Kinds, Any], Any]
OWN_FAILURE = {400, 401, 403, 404}


def in_json(path: str, name: str, own: str, *, as_person: bool = False, **more: str) -> tuple[Use, set[str]]:
    """A field of a JSON body, and the kinds of secret that belong there."""

    def use(call: Call, kinds: Kinds, text: Any) -> Any:
        fresh = {
            "fresh challenge": lambda: kinds.person.waiting()["challenge"],
            "the app's code": kinds.person.code,
            "the new app's code": TOTP(kinds.new_secret).now,
            "fresh one-time code": lambda: one_time_code(call, kinds.provider),
        }
        given = {key: fresh[value]() if value in fresh else value for key, value in more.items()}
        return kinds.person.ask("POST", path, {name: text, **given}, as_nobody=not as_person)

    return use, set(own.split("|"))


def in_form(path: str, name: str, own: str, **more: str) -> tuple[Use, set[str]]:
    """A field of an OAuth form."""

    def use(call: Call, kinds: Kinds, text: Any) -> Any:
        client = {"client_id": kinds.application_id, "client_secret": kinds.application_secret}
        if more.get("grant_type") == TOKEN_EXCHANGE:
            client = {}
        form = urlencode({**client, **more, name: text}, errors="surrogatepass").encode()
        return call("nobody", "POST", path, form, host=API_HOST, content_type=FORM)

    return use, set(own.split("|"))


def as_bearer(path: str, own: str) -> tuple[Use, set[str]]:
    def use(call: Call, kinds: Kinds, text: Any) -> Any:
        header = str(text).encode("utf-8", "surrogatepass").decode("latin-1")
        return call("nobody", "GET", path, host=API_HOST, HTTP_AUTHORIZATION=f"Bearer {header}")

    return use, set(own.split("|"))


def in_query(path: str, name: str, own: str) -> tuple[Use, set[str]]:
    def use(call: Call, kinds: Kinds, text: Any) -> Any:
        query = urlencode({name: text, "code": "x"}, errors="surrogatepass")
        return call("nobody", "GET", f"{path}?{query}", host=API_HOST)

    return use, set(own.split("|"))


def as_logout_token(call: Call, kinds: Kinds, text: Any) -> Any:
    form = urlencode({"logout_token": text}, errors="surrogatepass").encode()
    path = f"/auth/sso/{kinds.connection_id}/backchannel-logout"
    return call("nobody", "POST", path, form, host=API_HOST, content_type=FORM)


def as_cookie(call: Call, kinds: Kinds, text: Any) -> Any:
    header = str(text).encode("utf-8", "surrogatepass").decode("latin-1")
    return call("nobody", "GET", "/account", host=ACME, HTTP_COOKIE=f"{COOKIE}={header}")


# Where each kind of secret is good; in every other place it is nothing.
USES: dict[str, tuple[Use, set[str]]] = {
    "login": in_json("/api/v1/auth/login", "password", "password", email="both@people.test"),
    "challenge": in_json("/api/v1/auth/second-factor", "challenge", "challenge", code="the app's code"),
    "recovery code": in_json(
        "/api/v1/auth/second-factor", "recovery_code", "recovery code", challenge="fresh challenge"
    ),
    "operators' challenge": in_json("/operator/v1/auth/second-factor", "challenge", "", code="the app's code"),
    "enrolling": in_json("/api/v1/auth/second-factor/enroll", "challenge", ""),
    "operators' enrolling": in_json("/operator/v1/auth/second-factor/enroll", "challenge", ""),
    "confirming": in_json(
        f"{ME}/totp/confirm", "challenge", "challenge of setting up", as_person=True, code="the new app's code"
    ),
    "one-time code": in_json("/api/v1/auth/federated", "code", "one-time code", code_verifier=VERIFIER),
    "code verifier": in_json("/api/v1/auth/federated", "code_verifier", "code verifier", code="fresh one-time code"),
    "linking": in_json(IDENTITIES, "code", "", as_person=True, code_verifier=VERIFIER),
    "refreshing": in_json("/api/v1/auth/refresh", "refresh_token", "refresh token"),
    "step-up": in_json("/api/v1/auth/step-up", "recovery_code", "recovery code", as_person=True),
    "invitation": in_json("/api/v1/invitations/accept", "token", "", password="another long password"),
    "new password": in_json("/api/v1/auth/password/reset", "token", "", password="another long password"),
    "social state": in_query("/auth/social/callback", "state", "state"),
    "sso state": in_query("/auth/sso/callback", "state", ""),
    "authorization code": in_form(
        "/oauth/token",
        "code",
        "authorization code",
        grant_type="authorization_code",
        redirect_uri=REDIRECT,
        code_verifier=VERIFIER,
    ),
    "application's refresh": in_form("/oauth/token", "refresh_token", "", grant_type="refresh_token"),
    "application's secret": in_form(
        "/oauth/token", "client_secret", "application's secret", grant_type="client_credentials"
    ),
    "subject token": in_form(
        "/oauth/token",
        "subject_token",
        "access token",
        grant_type=TOKEN_EXCHANGE,
        subject_token_type=ACCESS_TOKEN_TYPE,
        audience="acme",
    ),
    "bearer": as_bearer("/api/v1/me", "access token"),
    "userinfo": as_bearer("/oauth/userinfo", ""),
    "operators' bearer": as_bearer("/operator/v1/tenants", ""),
    "SCIM": as_bearer("/scim/v2/Users", "SCIM token"),
    "logout token": (as_logout_token, set()),
    "cookie": (as_cookie, {"browser's session"}),
}


def is_refused(response: Any) -> bool:
    """Whether an answer lets nobody in; a refusal is a problem, or leads to signing in."""
    if response.status_code == 302:
        return "/sign-in" in response["Location"]
    assert response.status_code in OWN_FAILURE | {200, 201, 302}, (response.status_code, response.content)
    return response.status_code in OWN_FAILURE


def standing() -> set[Any]:
    """What the good ones stand on."""
    rows: list[Any] = [*Challenge.objects.values_list("pk"), *RecoveryCode.objects.values_list("pk")]
    rows += Attempt.objects.values_list("pk", "answered_at", "code_digest")
    rows += AuthorizationCode.objects.values_list("pk", "used_at")
    rows += Session.objects.filter(ended_at=None).values_list("pk")
    return {tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows}


def test_another_kind_of_secret_is_nothing_here(call: Call, kinds: Kinds) -> None:
    """And it is as good as before, where it belongs: nothing that is not meant for a place uses it up."""
    before, found = standing(), []
    for place, (use, own) in USES.items():
        for kind in kinds.good.keys() - own:
            with transaction.atomic():
                if not is_refused(use(call, kinds, kinds.good[kind])):
                    found.append(f"{place} takes {kind}")
                if not before <= standing():
                    found.append(f"{place} uses up {kind}")
                transaction.set_rollback(True)
    assert found == []


def mangled(good: str) -> Iterator[Any]:
    """Ways to spoil a text, and what is none."""
    yield from (good[:-1], good + "A", good + "=", good.swapcase() + "x", f" {good}x", good[::-1] + "x")
    yield from ("", " ", "\0", f"{good}\0", "\ud800", f"{good}\ud800", "ü" * 43, "\ufb00\u2460", "x" * 100_000, "'; --")
    yield from (None, 5, 1.5, True, [], [good], {}, {"a": good})


def test_each_is_good_in_its_own_place(call: Call, kinds: Kinds) -> None:
    """The twin of the tests above and below: what they send is refused for nothing else."""
    found = []
    for place, (use, own) in USES.items():
        for kind in own - {"", "password", "application's secret"}:  # a second factor is asked for; the wrong grant
            with transaction.atomic():
                response = use(call, kinds, kinds.good[kind])
                if is_refused(response):
                    found.append(f"{place} refuses {kind}: {response.content!r:.500}")
                transaction.set_rollback(True)
    assert found == []


IN_HEADERS = {"bearer", "userinfo", "operators' bearer", "SCIM", "cookie"}


def test_what_is_mangled_is_refused_and_never_an_error_of_ours(call: Call, kinds: Kinds) -> None:
    found = []
    for place, (use, own) in USES.items():
        for text in mangled(kinds.good[next(iter(own - {""}), "one-time code")]):
            if place in IN_HEADERS and not isinstance(text, str):
                continue
            with transaction.atomic():
                response = use(call, kinds, text)
                if response.status_code not in {413, 429, 431} and not is_refused(response):
                    found.append(f"{place} takes {text!r:.60}")
                transaction.set_rollback(True)
    assert found == []


# --- Whoever speaks for one tenant opens nothing else -----------------------------------------------------------------

NOBODYS = "7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10"
OF_THE_PERSON = [
    ("POST", f"{ME}/totp", None),
    ("POST", f"{ME}/totp/confirm", {"challenge": "c" * 43, "code": "000000"}),
    ("POST", f"{ME}/passkeys/options", None),
    ("POST", f"{ME}/passkeys", {"credential": {}}),
    ("POST", f"{ME}/recovery-codes", None),
    ("PATCH", f"{ME}/{NOBODYS}", {"name": "Mine"}),
    ("DELETE", f"{ME}/{NOBODYS}", None),
    ("POST", f"{IDENTITIES}/keycloak/start", {"return_to": "http://localhost:8000/", "code_challenge": "c" * 43}),
    ("POST", IDENTITIES, {"code": "c" * 43, "code_verifier": VERIFIER}),
    ("DELETE", f"{IDENTITIES}/{NOBODYS}", None),
    ("POST", "/api/v1/auth/step-up", {"password": PASSWORD}),
    ("POST", "/api/v1/auth/switch", {"tenant": "globex"}),
    ("DELETE", f"/api/v1/me/authorized-applications/{NOBODYS}", None),
]


@pytest.fixture
def vouched_for(db: None) -> Any:
    """Tokens of somebody in two tenants for whom acme's provider vouches, by two factors even."""
    acme = Tenant.objects.get(slug="acme")
    proof = Proof(way=Way.SSO, methods=(FEDERATED, MULTI_FACTOR), only_tenant_id=acme.pk)
    person = User.objects.get(email="both@people.test")
    return tokens.sign_in(user=person, host_tenant=None, slug="acme", scope="", proof=proof, device=Device(None, ""))


@pytest.mark.parametrize(("method", "path", "body"), OF_THE_PERSON)
def test_a_tenants_provider_has_no_hand_in_the_account(
    call: Call, vouched_for: Any, method: str, path: str, body: Any
) -> None:
    """A passkey, an identity or an app of its choosing would open all other tenants of the person."""
    headers = {"HTTP_AUTHORIZATION": f"Bearer {vouched_for.access_token}"}
    response = call("nobody", method, path, body, host=API_HOST, **headers)
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope"), response.content


def test_an_application_has_no_scope_over_the_account(db: None) -> None:
    """Whatever it registers and whoever agrees: such scopes cannot be given to an application at all."""
    own = {Scope.PROFILE_WRITE, Scope.SESSIONS_WRITE, Scope.TENANTS_WRITE, Scope.SSO_WRITE, Scope.SIGN_IN_POLICY_WRITE}
    from permissions import policy

    assert not own & policy.delegable()


# --- Browsers led to where somebody else reads along ------------------------------------------------------------------


def test_nobodys_account_is_opened_by_a_code_that_a_tenants_own_host_reads(
    call: Call, provider: OpenIdProvider
) -> None:
    """A tenant holds the DNS of a host of its own, and can lead it away from us. If the code of a sign-in to the whole
    account came back there, whoever holds it would begin one (with a secret of theirs), have somebody follow the link
    to the provider, and be them: in all their tenants. A host below ``BASE_DOMAIN`` is ours.
    """
    hosts.add_host(tenant_id=Tenant.objects.get(slug="acme").pk, host="app.acme.example")
    back = "http://app.acme.example:8000/signed-in"
    for visitor in (Visitor(call, host="app.acme.example"), Visitor(call)):
        response = visitor.start(return_to=back, tenant="acme")
        assert response.status_code == 400, response.content
    assert Visitor(call, host=ACME).start(return_to="http://acme.localhost:8000/signed-in").status_code == 200
    member = Visitor(call, actor="acme_member", host="app.acme.example")
    assert member.start(return_to=back).status_code == 400, "nor is an identity linked to theirs"
