"""The providers that we know by name: whose word on addresses counts, and GitHub, which has a way of its own."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from identity.accounts.models import User
from identity.oidc import discovery
from identity.oidc.attempts import begin
from identity.oidc.client import Answer
from identity.oidc.errors import UntrustedIdentity
from identity.oidc.providers import Identity, Provider
from identity.social.models import LinkedIdentity
from identity.social.providers import OpenIdConnect, provider_by_key
from tests.conftest import Call
from tests.pretending_provider import CLIENT_ID, SECRET, Asked, PretendingProvider, Said, pretending
from tests.social import RETURN_TO, Visitor
from tests.test_members import code

_CLIENT = {"client_id": CLIENT_ID, "client_secret": SECRET}


@pytest.mark.parametrize(
    ("key", "email", "is_verified", "claims", "vouches"),
    [
        ("google", "a@gmail.com", True, {}, True),
        ("google", "a@gmail.com", False, {}, False),
        ("google", "a@acme.test", True, {"hd": "acme.test"}, True),
        ("google", "a@acme.test", True, {}, False),  # it was theirs once
        ("google", "a@acme.test", True, {"hd": ""}, False),
        ("google", "a@notgmail.com", True, {}, False),
        ("microsoft", "a@acme.test", True, {}, False),  # any tenant of Microsoft's may say so
        ("microsoft", "a@acme.test", False, {"xms_edov": True}, True),
        ("microsoft", "a@acme.test", False, {"xms_edov": "1"}, True),
        ("microsoft", "a@acme.test", False, {"xms_edov": False}, False),
        ("microsoft", "a@acme.test", False, {"xms_edov": [1]}, False),
        ("github", "a@acme.test", True, {}, True),
        ("github", "a@acme.test", False, {}, False),
    ],
)
def test_whose_word_on_an_address_counts(
    settings: Any, *, key: str, email: str, is_verified: bool, claims: dict[str, Any], vouches: bool
) -> None:
    settings.SOCIAL_PROVIDERS = {key: _CLIENT}
    identity = Identity("https://i.test", "s", email, is_verified, claims=claims)
    assert provider_by_key(key).vouches(identity) is vouches


def test_known_providers_need_no_more_than_a_client(settings: Any) -> None:
    settings.SOCIAL_PROVIDERS = {"google": _CLIENT, "microsoft": _CLIENT | {"tenant": str(uuid4())}, "github": _CLIENT}
    google, microsoft = provider_by_key("google"), provider_by_key("microsoft")
    assert isinstance(google.signing, OpenIdConnect)
    assert isinstance(microsoft.signing, OpenIdConnect)
    assert google.signing.provider.issuer == "https://accounts.google.com"
    tenant = settings.SOCIAL_PROVIDERS["microsoft"]["tenant"]
    assert microsoft.signing.provider.issuer == f"https://login.microsoftonline.com/{tenant}/v2.0"
    settings.SOCIAL_PROVIDERS = {"microsoft": _CLIENT}
    provider = provider_by_key("microsoft").signing.provider  # type: ignore[attr-defined]  # which has one
    assert provider.issuer == "https://login.microsoftonline.com/{tenantid}/v2.0"
    assert provider.discovery == "https://login.microsoftonline.com/common/v2.0"
    assert [provider_by_key(key).name for key in settings.SOCIAL_PROVIDERS] == ["Microsoft"]


@pytest.fixture
def pretender() -> Iterator[PretendingProvider]:
    discovery.forget()
    with pretending() as provider:
        yield provider


def test_each_tenant_of_microsofts_is_an_issuer_of_its_own(db: None, pretender: PretendingProvider) -> None:
    template = f"{pretender.issuer}/{{tenantid}}/v2.0"
    pretender.answers["/common/v2.0/.well-known/openid-configuration"] = Said(pretender.metadata(issuer=template))
    signing = OpenIdConnect(
        Provider(template, CLIENT_ID, SECRET, RETURN_TO, discovery=f"{pretender.issuer}/common/v2.0")
    )
    own, another = str(uuid4()), str(uuid4())

    def who(key_of: str = "", iss: str = "", said: str = "", **claims: Any) -> Identity:
        discovery.forget()
        key = pretender.key.as_dict(private=False) | ({"issuer": key_of} if key_of else {})
        pretender.answers["/jwks"] = Said({"keys": [key]})
        attempt = begin(kind="trial", provider_key="m", return_to=RETURN_TO, code_challenge="c" * 43)
        iss = iss or f"{pretender.issuer}/{own}/v2.0"
        pretender.give(pretender.sign(pretender.claims(attempt.nonce, **({"iss": iss, "tid": own} | claims))))
        return signing.identify(attempt, Answer("", "c", said, ""))

    assert who().issuer == f"{pretender.issuer}/{own}/v2.0"
    assert who(key_of=template).subject == "somebody"
    assert who(key_of=f"{pretender.issuer}/{own}/v2.0").subject == "somebody"
    assert who(said=f"{pretender.issuer}/{own}/v2.0").subject == "somebody"
    wrong: list[dict[str, Any]] = [
        {"tid": another},
        {"tid": None},
        {"tid": "../common"},
        {"tid": 5},
        {"iss": template},
        {"iss": f"{pretender.issuer}/{own}/v1.0"},
        {"key_of": f"{pretender.issuer}/{another}/v2.0"},
        {"said": f"{pretender.issuer}/{another}/v2.0"},
    ]
    for each in wrong:
        with pytest.raises(UntrustedIdentity):
            who(**each)


@pytest.fixture
def github(settings: Any, pretender: PretendingProvider) -> PretendingProvider:
    url = pretender.issuer
    settings.SOCIAL_PROVIDERS = {"github": _CLIENT | {"url": url, "api_url": f"{url}/api"}}

    def token(asked: Asked) -> Said:
        is_right = asked.form.get("client_secret") == SECRET and asked.form.get("code") == "good"
        # It answers 200 whatever happens.
        return Said(
            {"access_token": "gho_1", "token_type": "bearer", "scope": "read:user,user:email"}
            if is_right and asked.headers.get("Accept") == "application/json"
            else {"error": "bad_verification_code"}
        )

    def behind_token(said: Any) -> Any:
        return lambda asked: Said(said) if asked.headers.get("Authorization") == "Bearer gho_1" else Said({}, 401)

    pretender.answers["/login/oauth/access_token"] = token
    pretender.answers["/api/user"] = behind_token({"id": 583231, "login": "octocat", "name": "The Octocat"})
    pretender.answers["/api/user/emails"] = behind_token(
        [
            {"email": "old@elsewhere.test", "verified": True, "primary": False},
            {"email": "octocat@elsewhere.test", "verified": True, "primary": True},
        ]
    )
    return pretender


def come_back(call: Call, **answer: str) -> tuple[Visitor, dict[str, str]]:
    visitor = Visitor(call, "github").begin()
    return visitor, visitor.come_back(state=visitor.asked["state"], **({"code": "good"} | answer))


def test_github_says_who_somebody_is_by_its_api(call: Call, github: PretendingProvider) -> None:
    visitor, told = come_back(call)
    assert visitor.url.startswith(f"{github.issuer}/login/oauth/authorize?")
    assert visitor.asked["scope"] == "read:user user:email"
    assert visitor.finish(told["code"]).status_code == 200
    user = User.objects.get(email="octocat@elsewhere.test")
    assert user.name == "The Octocat"
    row = LinkedIdentity.objects.get(user=user)
    assert (row.issuer, row.subject, row.provider) == (github.issuer, "583231", "github")
    # Another login, name and address, the same number: the same person.
    github.answers["/api/user"] = Said({"id": 583231, "login": "another", "name": None})
    github.answers["/api/user/emails"] = Said([])
    visitor, told = come_back(call)
    assert visitor.finish(told["code"]).status_code == 200
    assert LinkedIdentity.objects.count() == 1


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        [{"email": "a@elsewhere.test", "verified": False, "primary": True}],
        [{"email": "a@elsewhere.test", "verified": True, "primary": False}],
        [{"email": "a@elsewhere.test", "verified": "yes", "primary": True}],
        [{"email": 5, "verified": True, "primary": True}],
        [None, 5, "x", {}],
    ],
    ids=lambda value: str(value)[:60],
)
def test_github_has_verified_no_primary_address(call: Call, github: PretendingProvider, addresses: list[Any]) -> None:
    github.answers["/api/user/emails"] = Said(addresses)
    visitor, told = come_back(call)
    assert code(visitor.finish(told["code"])) == "address_unverified"


def test_github_answers_something_else(call: Call, github: PretendingProvider) -> None:
    assert come_back(call, code="wrong")[1]["error"] == "provider_refused"
    assert come_back(call, code="", error="access_denied")[1]["error"] == "provider_refused"
    assert come_back(call, iss="https://another.test")[1]["error"] == "untrusted_identity"
    assert "code" in come_back(call, iss=f"{github.issuer}/login/oauth")[1]
    for path, said in (
        ("/api/user", Said([])),
        ("/api/user", Said({"id": "583231"})),
        ("/api/user", Said({"id": True})),
        ("/api/user", Said({}, 403)),
        ("/api/user/emails", Said({})),
        ("/api/user/emails", Said([], 404)),
    ):
        before, github.answers[path] = github.answers[path], said
        assert come_back(call)[1]["error"] == "provider_unreachable", (path, said)
        github.answers[path] = before
    for token in (None, 5, "a\r\nX: y", "ü"):
        github.answers["/login/oauth/access_token"] = Said({"access_token": token})
        assert come_back(call)[1]["error"] == "untrusted_identity", token
