"""What a provider has signed: ID tokens and logout tokens that are not for us, not for now, or not signed by it."""

import base64
import hmac
import secrets
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from identity.oidc import client, discovery
from identity.oidc.errors import UntrustedIdentity
from identity.oidc.providers import Provider
from identity.social.models import LinkedIdentity
from tests.conftest import Call
from tests.pretending_provider import CLIENT_ID, SECRET, PretendingProvider, Said, b64, half_hash
from tests.social import RETURN_TO, Visitor, outcome
from tests.social import evil as evil  # noqa: PLC0414 -- a fixture


def with_public_key(claims: dict[str, Any], key: bytes) -> str:
    """A token with what everybody knows for a shared secret."""
    signed = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(claims)}"
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256'))}"


def test_an_honest_answer_lets_in(call: Call, evil: PretendingProvider) -> None:
    assert outcome(call, evil) == "in"
    (asked,) = [each for each in evil.asked if each.path == "/token"]
    assert asked.form["grant_type"] == "authorization_code"
    assert asked.form["redirect_uri"] == "http://localhost:8000/auth/social/callback"
    assert len(asked.form["code_verifier"]) == 43
    assert SECRET not in asked.form.values()
    assert asked.headers["Authorization"] == f"Basic {base64.b64encode(f'{CLIENT_ID}:{SECRET}'.encode()).decode()}"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://accounts.google.com"},
        {"iss": None},
        {"iss": 5},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"aud": []},
        {"aud": None},
        {"azp": "another-client"},
        {"exp": -120},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iat": 3600},
        {"iat": -3600},
        {"iat": None},
        {"nbf": 3600},
        {"nonce": None},
        {"nonce": "an old one"},
        {"nonce": "\ud800"},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "s" * 256},
        {"sub": "nul\x00"},
        {"sub": "\ud800"},
        {"at_hash": half_hash("another access token")},
        {"at_hash": 5},
    ],
    ids=lambda value: str(value)[:60],
)
def test_claims_that_are_not_for_us_now(call: Call, evil: PretendingProvider, claims: dict[str, Any]) -> None:
    assert outcome(call, evil, **claims) == "untrusted_identity"


def test_claims_that_are(call: Call, evil: PretendingProvider) -> None:
    assert outcome(call, evil, at_hash=half_hash("at"), sub="1") == "in"
    assert outcome(call, evil, aud=[CLIENT_ID], sub="1") == "in"
    assert outcome(call, evil, aud=[CLIENT_ID, "another"], azp=CLIENT_ID, sub="1") == "in"
    assert outcome(call, evil, amr="mfa", auth_time="x", name=["x"], sid=5, sub="1") == "in"


def test_signatures_that_prove_nothing(call: Call, evil: PretendingProvider) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    public = evil.key.as_pem(private=False)
    forms: dict[str, Any] = {
        "none": lambda claims: f"{b64({'alg': 'none', 'kid': 'one'})}.{b64(claims)}.",
        "None": lambda claims: f"{b64({'alg': 'None'})}.{b64(claims)}.{b64(b'x')}",
        "no signature": lambda claims: evil.sign(claims).rpartition(".")[0] + ".",
        "no algorithm": lambda claims: f"{b64({'kid': 'one'})}.{b64(claims)}.{b64(b'x')}",
        "secret": lambda claims: evil.sign(claims, OctKey.import_key(SECRET), alg="HS256", kid="one"),
        "public key": lambda claims: with_public_key(claims, public),
        "stranger": lambda claims: evil.sign(claims, stranger),
        "stranger's kid": lambda claims: evil.sign(claims, stranger, kid="two"),
        "own key in the header": lambda claims: evil.sign(claims, stranger, jwk=stranger.as_dict(private=False)),
        "another algorithm": lambda claims: evil.sign(claims, alg="PS256"),
        "longer digest": lambda claims: evil.sign(claims, alg="RS512"),
        "critical": lambda claims: evil.sign(claims, crit=["exp"], exp=1),
        "changed": lambda claims: ".".join([evil.sign(claims).split(".")[0], b64(claims), b64(b"x" * 256)]),
        "list": lambda claims: f"{b64({'alg': 'RS256'})}.{b64([claims])}.{b64(b'x')}",
        "rubbish": lambda _: "rubbish",
        "empty": lambda _: "",
        "number": lambda _: 5,
        "none at all": lambda _: None,
        "huge": lambda claims: evil.sign(claims | {"x": "x" * 70000}),
        "deep": lambda _: f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(b'[' * 9000)}.{b64(b'x')}",
        "header": lambda claims: f"{b64('x')}.{b64(claims)}.{b64(b'x')}",
        "kid": lambda claims: f"{b64({'alg': 'RS256', 'kid': ['one']})}.{b64(claims)}.{b64(b'x')}",
        "algorithm": lambda claims: f"{b64({'alg': ['RS256'], 'kid': 'one'})}.{b64(claims)}.{b64(b'x')}",
        "letters": lambda claims: evil.sign(claims)[:-4] + "ü!§$",
    }
    found = {name: outcome(call, evil, make) for name, make in forms.items()}
    assert found == dict.fromkeys(forms, "untrusted_identity")
    assert not LinkedIdentity.objects.exists()


def test_keys_that_are_none(call: Call, evil: PretendingProvider) -> None:
    """A shared secret, a weak key, one for encrypting, one that is not on its curve, and what means nothing."""
    shared = OctKey.import_key(SECRET * 8, {"kid": "one"})
    weak = {"kty": "RSA", "kid": "one", "n": "x" * 170, "e": "AQAB"}
    curve = ECKey.generate_key("P-256", {"kid": "one"}).as_dict(private=False) | {"x": b64(b"1" * 32)}
    encrypting = evil.key.as_dict(private=False) | {"use": "enc"}
    for keys in ([shared.as_dict(private=True)], [weak], [curve], [encrypting], [None, 5, {}, {"kty": "PQC"}], []):
        discovery.forget()
        evil.answers["/jwks"] = Said({"keys": keys})
        assert outcome(call, evil) == "untrusted_identity", keys
    for said in ({}, {"keys": 5}, [], "x"):
        discovery.forget()
        evil.answers["/jwks"] = Said(said)
        assert outcome(call, evil) == "provider_unreachable", said
    discovery.forget()
    evil.answers["/jwks"] = Said({"keys": [weak, evil.key.as_dict(private=False), {"kty": "PQC"}]})
    assert outcome(call, evil) == "in"  # beside them, a good one is good


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSAKey.generate_key(2048, {"kid": "k"})),
        ("PS256", RSAKey.generate_key(2048, {"kid": "k"})),
        ("ES256", ECKey.generate_key("P-256", {"kid": "k"})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_algorithm_that_is_good(call: Call, evil: PretendingProvider, algorithm: str, key: Any) -> None:
    evil.answers["/jwks"] = Said(KeySet([key]).as_dict())
    assert outcome(call, evil, lambda claims: evil.sign(claims, key, alg=algorithm)) == "in"
    assert outcome(call, evil, lambda claims: evil.sign(claims, key, alg=algorithm, kid=None)) == "in"  # the only one


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_eddsa_is_good(call: Call, evil: PretendingProvider) -> None:
    key = OKPKey.generate_key("Ed25519", {"kid": "k"})
    evil.answers["/jwks"] = Said(KeySet([key]).as_dict())
    assert outcome(call, evil, lambda claims: evil.sign(claims, key, alg="EdDSA")) == "in"


def test_new_keys_are_looked_for_but_not_for_every_name(call: Call, evil: PretendingProvider) -> None:
    assert outcome(call, evil) == "in"
    evil.key = RSAKey.generate_key(2048, {"kid": "two"})
    assert outcome(call, evil, sub="2", email="second@elsewhere.test") == "in"
    fetched = [each.path for each in evil.asked].count("/jwks")
    assert fetched == 2
    for _ in range(5):
        name = secrets.token_hex(4)
        assert outcome(call, evil, lambda claims: evil.sign(claims, kid=name)) == "untrusted_identity"  # noqa: B023 -- called at once
    assert [each.path for each in evil.asked].count("/jwks") == fetched


def test_an_id_token_of_another_sign_in_is_refused(call: Call, evil: PretendingProvider) -> None:
    first = Visitor(call, "evil").begin()
    stolen = evil.sign(evil.claims(first.asked["nonce"]))
    assert outcome(call, evil, lambda _: stolen) == "untrusted_identity"


def at_evil(evil: PretendingProvider) -> Provider:
    return Provider(evil.issuer, CLIENT_ID, SECRET, RETURN_TO)


EVENTS = {"http://schemas.openid.net/event/backchannel-logout": {}}


def test_a_logout_token_is_read(evil: PretendingProvider) -> None:
    claims = evil.claims("", nonce=None, jti="j", events=EVENTS, sid="s")
    token = client.read_logout_token(at_evil(evil), evil.sign(claims, typ="logout+jwt"))
    assert (token.subject, token.sid, token.jti, token.expires_at) == ("somebody", "s", "j", claims["exp"])
    without = {name: value for name, value in claims.items() if name != "sub"}
    assert client.read_logout_token(at_evil(evil), evil.sign(without)).subject is None


@pytest.mark.parametrize(
    "claims",
    [
        {"events": None},
        {"events": {}},
        {"events": []},
        {"events": {next(iter(EVENTS)): 5}},
        {"nonce": "n"},
        {"jti": None},
        {"jti": ""},
        {"jti": "\ud800"},
        {"sub": None, "sid": None},
        {"sid": 5},
        {"sub": 5},
        {"iss": "https://another.test"},
        {"aud": "another"},
        {"exp": None},
        {"exp": -120},
        {"exp": 10**30},
        {"exp": 1e308},
        {"iat": 3600},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_logout_token_that_is_none(evil: PretendingProvider, claims: dict[str, Any]) -> None:
    honest = {"nonce": None, "jti": "j", "events": EVENTS, "sid": "s"}
    with pytest.raises(UntrustedIdentity):
        client.read_logout_token(at_evil(evil), evil.sign(evil.claims("", **(honest | claims))))


def test_an_id_token_is_no_logout_token(evil: PretendingProvider) -> None:
    with pytest.raises(UntrustedIdentity):
        client.read_logout_token(at_evil(evil), evil.sign(evil.claims("n", sid="s")))
    honest = evil.claims("", nonce=None, jti="j", events=EVENTS)
    with pytest.raises(UntrustedIdentity):
        client.read_logout_token(at_evil(evil), evil.sign(honest, typ="at+jwt"))
    with pytest.raises(UntrustedIdentity):
        client.read_logout_token(at_evil(evil), "x" * 70000)
