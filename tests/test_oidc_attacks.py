"""Answers that are brought to the wrong place, or come from a provider that lies: nothing of it is believed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.db import connections
from django.utils import timezone

from identity.accounts.models import User
from identity.oidc import attempts, discovery
from identity.oidc.errors import InvalidCode, UnknownAttempt
from identity.oidc.models import Attempt
from identity.oidc.providers import Provider
from identity.social.models import LinkedIdentity
from tests.conftest import API_HOST, Call
from tests.pretending_provider import CLIENT_ID, SECRET, PretendingProvider, Said, pretending
from tests.social import RETURN_TO, Visitor, entry, outcome
from tests.social import evil as evil  # noqa: PLC0414 -- a fixture
from tests.test_members import code


@pytest.fixture
def other(settings: Any, evil: PretendingProvider) -> Iterator[PretendingProvider]:
    with pretending() as provider:
        settings.SOCIAL_PROVIDERS = settings.SOCIAL_PROVIDERS | {"other": entry(provider.issuer)}
        yield provider


def test_a_state_is_good_once_and_for_its_own_kind(call: Call, evil: PretendingProvider) -> None:
    visitor = Visitor(call, "evil").begin()
    state = visitor.asked["state"]
    with pytest.raises(UnknownAttempt):
        attempts.consume(state, kinds=("sso",))
    evil.give(evil.sign(evil.claims(visitor.asked["nonce"])))
    told = visitor.come_back(code="c", state=state)
    again = call("nobody", "GET", f"/auth/social/callback?code=c&state={state}", host=API_HOST)
    assert (again.status_code, code(again)) == (400, "unknown_attempt")
    with pytest.raises(InvalidCode):
        attempts.take(code=told["code"], code_verifier=visitor.verifier, kinds=("sso",))
    assert visitor.finish(told["code"]).status_code == 200
    assert code(visitor.finish(told["code"])) == "invalid_code"


def test_a_code_is_good_in_the_hands_of_who_began(call: Call, evil: PretendingProvider) -> None:
    """Somebody follows a link that an attacker began (login CSRF), or an attacker reads a code off an address bar."""
    attacker, victim = Visitor(call, "evil").begin(), Visitor(call, "evil").begin()
    evil.give(evil.sign(evil.claims(attacker.asked["nonce"])))
    told = attacker.come_back(code="c", state=attacker.asked["state"])
    assert code(victim.finish(told["code"])) == "invalid_code"
    assert code(attacker.finish(told["code"])) == "invalid_code"  # a wrong verifier has used it up
    challenge = attacker.asked["code_challenge"]
    evil.give(evil.sign(evil.claims(victim.asked["nonce"])))
    told = victim.come_back(code="c", state=victim.asked["state"])
    assert code(attacker.finish(told["code"], verifier=challenge)) == "invalid_code"


def test_attempts_and_codes_are_over_soon(call: Call, evil: PretendingProvider) -> None:
    late = Visitor(call, "evil").begin()
    Attempt.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    response = call("nobody", "GET", f"/auth/social/callback?code=c&state={late.asked['state']}", host=API_HOST)
    assert code(response) == "unknown_attempt"
    visitor = Visitor(call, "evil").begin()
    evil.give(evil.sign(evil.claims(visitor.asked["nonce"])))
    told = visitor.come_back(code="c", state=visitor.asked["state"])
    left = Attempt.objects.get(code_digest__isnull=False).expires_at - timezone.now()
    assert left <= timedelta(seconds=60)
    Attempt.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert code(visitor.finish(told["code"])) == "invalid_code"
    assert attempts.prune_attempts(limit=1) == 1
    assert attempts.prune_attempts(limit=10) == 1
    assert not Attempt.objects.exists()


def test_what_is_kept_of_an_attempt_gives_nothing_away(call: Call, evil: PretendingProvider) -> None:
    visitor = Visitor(call, "evil").begin()
    evil.give(evil.sign(evil.claims(visitor.asked["nonce"])))
    told = visitor.come_back(code="c", state=visitor.asked["state"])
    (row,) = Attempt.objects.values()
    kept = " ".join(str(bytes(value) if isinstance(value, memoryview) else value) for value in row.values())
    verifier = next(each.form["code_verifier"] for each in evil.asked if each.path == "/token")
    for secret in (visitor.asked["state"], told["code"], visitor.verifier, verifier, "somebody@elsewhere.test"):
        assert secret not in kept


def test_answers_of_another_provider_are_mixed_up_with_nothing(
    call: Call, evil: PretendingProvider, other: PretendingProvider
) -> None:
    """An attacker runs one of two providers, and wants codes or ID tokens of the other (RFC 9700 section 4.4)."""
    visitor = Visitor(call, "evil").begin()
    told = visitor.come_back(code="codes-of-other", state=visitor.asked["state"], iss=other.issuer)
    assert told["error"] == "untrusted_identity"
    assert [each.path for each in evil.asked] == ["/.well-known/openid-configuration"]  # it has not got the code
    # One that names itself always does so.
    evil.answers["/.well-known/openid-configuration"] = Said(
        evil.metadata(authorization_response_iss_parameter_supported=True)
    )
    discovery.forget()
    visitor.begin()
    assert visitor.come_back(code="c", state=visitor.asked["state"])["error"] == "untrusted_identity"
    visitor.begin()
    evil.give(evil.sign(evil.claims(visitor.asked["nonce"])))
    assert "code" in visitor.come_back(code="c", state=visitor.asked["state"], iss=evil.issuer)
    # An ID token of the one is none of the other, whoever signs it.
    assert outcome(call, evil, lambda claims: other.sign(claims | {"iss": other.issuer})) == "untrusted_identity"
    visitor.begin()
    evil.give(evil.sign(evil.claims(visitor.asked["nonce"], iss=other.issuer)))
    told = visitor.come_back(code="c", state=visitor.asked["state"], iss=evil.issuer)
    assert told["error"] == "untrusted_identity"


def test_the_same_subject_of_another_provider_is_somebody_else(
    call: Call, evil: PretendingProvider, other: PretendingProvider
) -> None:
    member = User.objects.get(email="member@acme.test")
    LinkedIdentity.objects.create(user=member, provider="other", issuer=other.issuer, subject="somebody")
    assert outcome(call, evil, email="member@acme.test") == "link_needed"


def test_a_code_is_injected_into_nothing(call: Call, evil: PretendingProvider) -> None:
    """The provider's code goes along with the verifier of the attempt, so a stolen one is good nowhere else."""
    first, second = Visitor(call, "evil").begin(), Visitor(call, "evil").begin()
    assert first.asked["code_challenge"] != second.asked["code_challenge"]
    evil.give(evil.sign(evil.claims(second.asked["nonce"])))
    second.come_back(code="stolen", state=second.asked["state"])
    (asked,) = [each for each in evil.asked if each.path == "/token"]
    assert create_s256_code_challenge(asked.form["code_verifier"]) == second.asked["code_challenge"]


def test_errors_of_the_provider_tell_nobody_anything(call: Call, evil: PretendingProvider, caplog: Any) -> None:
    visitor = Visitor(call, "evil").begin()
    told = visitor.come_back(error="access_denied", error_description="<script>", state=visitor.asked["state"])
    assert told["error"] == "provider_refused"
    assert "script" not in told["error_description"]
    for said in (
        Said({"error": "invalid_client", "error_description": SECRET}, 401),
        Said({"error": SECRET}, 400),
        Said({"error": "invalid_grant"}),
    ):
        evil.answers["/token"] = said
        visitor.begin()
        told = visitor.come_back(code="c", state=visitor.asked["state"])
        assert told["error"] == "provider_refused"
        assert SECRET not in told["error_description"]
    assert SECRET not in caplog.text
    assert SECRET not in repr(Provider("i", "c", SECRET, "r"))


@pytest.mark.parametrize(
    "said",
    [
        Said("no object"),
        Said(b"{"),
        Said(b"[" * 100000),
        Said({}, 404),
        Said({}, 500),
        Said({}, 302, {"Location": "http://127.0.0.1:1/"}),
        {"issuer": "https://accounts.google.com"},
        {"issuer": None},
        {"issuer": 5},
        {"token_endpoint": None},
        {"token_endpoint": "ftp://x.test/"},
        {"token_endpoint": "/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": 5},
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_discovery_document_that_is_none(call: Call, evil: PretendingProvider, said: Any) -> None:
    evil.answers["/.well-known/openid-configuration"] = said if isinstance(said, Said) else Said(evil.metadata(**said))
    response = Visitor(call, "evil").start()
    assert (response.status_code, code(response)) == (502, "provider_unreachable")


def test_the_client_proves_itself_as_the_provider_wants(call: Call, evil: PretendingProvider) -> None:
    evil.answers["/.well-known/openid-configuration"] = Said(
        evil.metadata(token_endpoint_auth_methods_supported=["client_secret_post"])
    )
    assert outcome(call, evil) == "in"
    (asked,) = [each for each in evil.asked if each.path == "/token"]
    assert (asked.form["client_id"], asked.form["client_secret"]) == (CLIENT_ID, SECRET)
    assert "Authorization" not in asked.headers


def test_userinfo_is_asked_for_what_is_missing_and_must_be_of_the_same_person(
    call: Call, evil: PretendingProvider
) -> None:
    evil.answers["/.well-known/openid-configuration"] = Said(evil.metadata(userinfo_endpoint=f"{evil.issuer}/userinfo"))
    lacking = {"email": None, "email_verified": None}
    evil.answers["/userinfo"] = Said({"sub": "another", "email": "a@elsewhere.test", "email_verified": True})
    assert outcome(call, evil) == "in"
    assert "/userinfo" not in [each.path for each in evil.asked]
    assert outcome(call, evil, **lacking) == "untrusted_identity"
    said = {"sub": "2", "iss": "x", "amr": ["mfa"], "email": "b@elsewhere.test", "email_verified": True}
    evil.answers["/userinfo"] = Said(said)
    assert outcome(call, evil, sub="2", **lacking) == "in"
    assert User.objects.filter(email="b@elsewhere.test").exists()
    evil.answers["/userinfo"] = Said({}, 401)
    assert outcome(call, evil, sub="3", **lacking) == "provider_unreachable"


def test_of_many_at_once_one_is_first(unwrapped: None) -> None:
    """A state, and a code, that come several times at the same moment."""
    begun = attempts.begin(kind="trial", provider_key="x", return_to=RETURN_TO, code_challenge="c" * 43)

    def once(work: Any) -> bool:
        try:
            work()
        except (UnknownAttempt, InvalidCode):
            return False
        finally:
            connections.close_all()
        return True

    try:
        with ThreadPoolExecutor(6) as pool:
            firsts = list(pool.map(lambda _: once(lambda: attempts.consume(begun.state, kinds=["trial"])), range(6)))
            assert firsts.count(True) == 1
            codes = [attempts.finish(Attempt.objects.get(pk=begun.pk), {"x": 1})]
            with pytest.raises(UnknownAttempt):
                attempts.finish(Attempt.objects.get(pk=begun.pk), {"x": 2})
            Attempt.objects.filter(pk=begun.pk).update(
                code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 appendix B
            )
            verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            taken = list(
                pool.map(
                    lambda _: once(lambda: attempts.take(code=codes[0], code_verifier=verifier, kinds=["trial"])),
                    range(6),
                )
            )
            assert taken.count(True) == 1
    finally:
        Attempt.objects.filter(kind="trial").delete()
