"""Passkeys: making them, signing in with them alone or after a password, and forgeries of both."""

import base64
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.utils import websafe_encode
from fido2.webauthn import AuthenticatorData

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import passkeys
from identity.factors.models import Factor
from tests.authenticator import ORIGIN, Passkey
from tests.conftest import ACME, Call
from tests.second_factors import AUTH, BOTH, ME, OPERATORS, Person, is_invalid
from tests.serving import serving

Spoil = Callable[[Passkey], Any]


@pytest.fixture
def passkey() -> Passkey:
    return Passkey()


@pytest.fixture
def holder(both: Person, passkey: Passkey) -> Person:
    """Somebody with a passkey and nothing else."""
    assert both.add_passkey(passkey).status_code == 201
    return both.refresh()


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def sign_in(person: Person, passkey: Passkey, *, host: str = "localhost", **more: Any) -> Any:
    credential = passkey.get(person.passkey_options())
    body = {"credential": credential, **more}
    return person.ask("POST", f"{AUTH}/passkey", body, host=host, as_nobody=True)


# --- Making one -------------------------------------------------------------------------------------------------------


def test_a_passkey_is_made_and_found_by_the_browser_itself(both: Person, passkey: Passkey) -> None:
    options = both.ask("POST", f"{ME}/passkeys/options").json()["options"]
    assert options["rp"] == {"id": "localhost", "name": "Tenantry"}
    assert options["authenticatorSelection"] == {
        "residentKey": "required", "requireResidentKey": True, "userVerification": "required",
    }  # fmt: skip
    assert options["attestation"] == "none"
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-7, -8, -257]
    added = both.add_passkey(passkey).json()
    assert (added["factor"]["kind"], added["factor"]["name"]) == ("passkey", "Laptop")
    assert added["factor"]["transports"] == ["internal"]
    assert len(added["recovery_codes"]) == 10
    assert claims_of(both.refresh().token)["amr"] == ["pwd", "hwk", "mfa"]
    excluded = both.ask("POST", f"{ME}/passkeys/options").json()["options"]["excludeCredentials"]
    assert [each["id"] for each in excluded] == [websafe_encode(passkey.credential_id)]
    assert both.add_passkey(Passkey()).json()["recovery_codes"] is None, "they come with the first one"


SPOILT: dict[str, Spoil] = {
    "another site": lambda key: setattr(key, "origin", "https://evil.test"),
    "a site that looks like ours": lambda key: setattr(key, "origin", "http://localhost.evil.test:8000"),
    "a tenant that there is not": lambda key: setattr(key, "origin", "http://nobody.localhost:8000"),
    "no origin": lambda key: setattr(key, "origin", "null"),
    "an origin with a path": lambda key: setattr(key, "origin", f"{ORIGIN}/"),
    "another name": lambda key: setattr(key, "rp_id", "evil.test"),
    "inside a frame": lambda key: setattr(key, "cross_origin", True),
    "not unlocked": lambda key: setattr(key, "flags", AuthenticatorData.FLAG.UP),
    "nobody there": lambda key: setattr(key, "flags", AuthenticatorData.FLAG.UV),
}
every_spoilt = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)


@every_spoilt
def test_one_that_was_not_made_for_us_is_refused(both: Person, passkey: Passkey, spoil: Spoil) -> None:
    spoil(passkey)
    response = both.add_passkey(passkey)
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "#/credential"
    assert not Factor.objects.exists()


def test_one_is_made_for_whom_it_was_asked_and_once(both: Person, call: Call, passkey: Passkey) -> None:
    other = Person(call, "owner@acme.test").sign_in()
    begun = both.ask("POST", f"{ME}/passkeys/options").json()["options"]
    body = {"credential": passkey.create(begun)}
    assert other.ask("POST", f"{ME}/passkeys", body).status_code == 400
    assert both.ask("POST", f"{ME}/passkeys", body).status_code == 201
    both.refresh()
    assert both.ask("POST", f"{ME}/passkeys", body).status_code == 400
    again = other.add_passkey(passkey)
    assert again.status_code == 400, "a passkey is one person's"


# --- Signing in with it alone -----------------------------------------------------------------------------------------


def test_a_passkey_signs_in_without_address_and_password(holder: Person, passkey: Passkey) -> None:
    response = sign_in(holder, passkey, tenant="globex", scope="tenant:read")
    assert response.status_code == 200, response.content
    assert (response.json()["tenant"], response.json()["scope"]) == ("globex", "tenant:read")
    assert claims_of(response.json()["access_token"])["amr"] == ["hwk", "mfa"]
    assert sign_in(holder, passkey, host=ACME).json()["tenant"] == "acme"
    sessions = holder.ask("GET", "/api/v1/me/sessions").json()["results"]
    assert sessions[0]["methods"] == ["hwk", "mfa"]


def test_a_tenants_own_pages_ask_for_it_too(holder: Person, passkey: Passkey) -> None:
    passkey.origin = "http://acme.localhost:8000"
    assert sign_in(holder, passkey, host=ACME).status_code == 200


@every_spoilt
def test_a_signature_for_anything_else_is_refused(holder: Person, passkey: Passkey, spoil: Spoil) -> None:
    spoil(passkey)
    assert is_invalid(sign_in(holder, passkey))


def test_an_unknown_passkey_gets_the_same_answer_as_a_wrong_one(holder: Person, passkey: Passkey) -> None:
    unknown = sign_in(holder, Passkey(user_handle=passkey.user_handle))
    wrong = sign_in(holder, Passkey(credential_id=passkey.credential_id, user_handle=passkey.user_handle))
    assert is_invalid(unknown)
    assert unknown.json() == wrong.json()
    assert passkey.key.curve.name == ec.SECP256R1().name


def test_a_signature_is_good_once(holder: Person, passkey: Passkey) -> None:
    credential = passkey.get(holder.passkey_options())
    statuses = [
        holder.ask("POST", f"{AUTH}/passkey", {"credential": credential}, as_nobody=True).status_code for _ in range(2)
    ]
    assert statuses == [200, 401]


def test_a_challenge_that_we_did_not_make_is_refused(holder: Person, passkey: Passkey) -> None:
    credential = passkey.get({"challenge": websafe_encode(b"x" * 32)})
    assert is_invalid(holder.ask("POST", f"{AUTH}/passkey", {"credential": credential}, as_nobody=True))


def test_a_copy_is_found_out_by_its_count(holder: Person, passkey: Passkey) -> None:
    assert sign_in(holder, passkey).status_code == 200
    passkey.count -= 1
    assert is_invalid(sign_in(holder, passkey)), "it says what the other one has said"
    passkey.count, passkey.counts = 0, False
    assert is_invalid(sign_in(holder, passkey)), "one that counted goes on counting"


def test_one_that_never_counts_is_good(both: Person) -> None:
    """Passkeys that are on several devices say 0."""
    synced = Passkey(counts=False, flags=Passkey.flags | AuthenticatorData.FLAG.BE | AuthenticatorData.FLAG.BS)
    assert both.add_passkey(synced).json()["factor"]["is_backed_up"] is True
    assert [sign_in(both, synced).status_code for _ in range(2)] == [200, 200]


def test_a_passkey_that_was_removed_is_good_no_more(holder: Person, passkey: Passkey) -> None:
    factor = holder.ask("GET", ME).json()["results"][0]["id"]
    assert holder.ask("DELETE", f"{ME}/{factor}").status_code == 204
    assert is_invalid(sign_in(holder, passkey))


def test_a_closed_account_is_not_opened(holder: Person, passkey: Passkey) -> None:
    accounts.set_active(user_id=User.objects.get(email=BOTH).pk, is_active=False)
    assert is_invalid(sign_in(holder, passkey))


def test_no_passkey_opens_the_operator_api(call: Call, passkey: Passkey) -> None:
    staff = Person(call, OPERATOR_EMAIL).sign_in()
    staff.add_passkey(passkey)
    options = staff.ask("POST", f"{OPERATORS}/passkey/options", as_nobody=True).json()["options"]
    body = {"credential": passkey.get(options)}
    assert staff.ask("POST", f"{OPERATORS}/passkey", body, as_nobody=True).status_code == 404
    assert is_invalid(staff.ask("POST", f"{AUTH}/passkey", body, as_nobody=True)), "nor is its challenge good elsewhere"


# --- After a password -------------------------------------------------------------------------------------------------


def test_it_is_a_second_factor_to_a_password(holder: Person, passkey: Passkey) -> None:
    waiting = holder.waiting()
    assert waiting["methods"] == ["passkey", "recovery_code"]
    (allowed,) = waiting["passkey_options"]["allowCredentials"]
    assert allowed["id"] == websafe_encode(passkey.credential_id)
    response = holder.answer(waiting["challenge"], credential=passkey.get(waiting["passkey_options"]))
    assert claims_of(response.json()["access_token"])["amr"] == ["pwd", "hwk", "mfa"]


def test_it_has_to_sign_the_challenge_that_it_answers(holder: Person, passkey: Passkey) -> None:
    first, second = holder.waiting(), holder.waiting()
    signed = passkey.get(second["passkey_options"])
    assert is_invalid(holder.answer(first["challenge"], credential=signed))
    assert is_invalid(holder.answer(first["challenge"], credential=passkey.get(holder.passkey_options())))
    assert is_invalid(holder.ask("POST", f"{AUTH}/passkey", {"credential": signed}, as_nobody=True))
    assert holder.answer(second["challenge"], credential=passkey.get(second["passkey_options"])).status_code == 200


def test_another_persons_passkey_answers_nothing(holder: Person, call: Call) -> None:
    mallory, own = Person(call, "owner@acme.test").sign_in(), Passkey()
    mallory.add_passkey(own)
    waiting = holder.waiting()
    assert is_invalid(holder.answer(waiting["challenge"], credential=own.get(waiting["passkey_options"])))


def test_it_is_proved_again_in_a_session(holder: Person, passkey: Passkey, call: Call) -> None:
    credential = passkey.get(holder.passkey_options())
    stepped_up = holder.ask("POST", f"{AUTH}/step-up", {"credential": credential})
    assert stepped_up.status_code == 200, stepped_up.content
    assert holder.ask("POST", f"{AUTH}/step-up", {"credential": credential}).status_code == 400, "once"
    mallory, own = Person(call, "owner@acme.test").sign_in(), Passkey()
    mallory.add_passkey(own)
    stolen = holder.ask("POST", f"{AUTH}/step-up", {"credential": own.get(holder.passkey_options())})
    assert stolen.status_code == 400
    assert stolen.json()["errors"][0]["pointer"] == "#/credential"


def test_staff_prove_it_too(call: Call, passkey: Passkey, settings: Any) -> None:
    Person(call, OPERATOR_EMAIL).sign_in().add_passkey(passkey)
    settings.OPERATOR_SECOND_FACTOR = True
    staff = Person(call, OPERATOR_EMAIL, auth=OPERATORS)
    waiting = staff.waiting()
    staff.keep(staff.answer(waiting["challenge"], credential=passkey.get(waiting["passkey_options"])))
    body = {"credential": passkey.get(staff.passkey_options())}
    assert staff.ask("POST", f"{OPERATORS}/step-up", body).status_code == 200
    assert staff.ask("POST", f"{OPERATORS}/step-up", {"password": PASSWORD}).status_code == 401


# --- Nonsense ---------------------------------------------------------------------------------------------------------


def nonsense(good: dict[str, Any]) -> list[Any]:
    """Credentials that are none."""
    deep = websafe_encode(b"\x81" * 6000)
    found: list[Any] = [{}, {"id": "x"}, {**good, "type": "password"}, {**good, "id": "eA"}, {**good, "response": None}]
    found += [{**good, "response": []}, {**good, "rawId": 7, "id": 7}, {**good, "response": {"x": good}}]
    for name in good["response"]:
        for value in (
            None,
            5,
            "",
            "é",
            "====",
            {},
            [],
            deep,
            websafe_encode(b"{}"),
            websafe_encode(b"[1]"),
            "x" * 9000,
        ):
            found.append({**good, "response": {**good["response"], name: value}})
    return found


def test_nonsense_is_input_that_is_wrong_and_no_error_of_ours(
    both: Person,
    passkey: Passkey,
    call: Call,
) -> None:
    begun = both.ask("POST", f"{ME}/passkeys/options").json()["options"]
    made = passkey.create(begun)
    for credential in nonsense(made):
        status = both.ask("POST", f"{ME}/passkeys", {"credential": credential}).status_code
        assert status in (400, 201), credential
    assert Factor.objects.count() <= 1, "transports are the browser's to say"
    Factor.objects.all().delete()
    User.objects.update(has_second_factor=False)
    other = Passkey()
    both.sign_in().add_passkey(other)
    options = both.passkey_options()
    for credential in nonsense(other.get(options)):
        status = both.ask("POST", f"{AUTH}/passkey", {"credential": credential}, as_nobody=True).status_code
        assert status in (400, 401) or credential["response"].get("userHandle") is None, credential


@pytest.mark.parametrize(
    ("origin", "is_taken"),
    [
        ("https://localhost", True),
        ("http://localhost:3000", True),
        ("http://acme.localhost", True),
        ("http://evil.acme.localhost", False),
        ("ftp://localhost", False),
        ("http://127.0.0.1:8000", False),
        ("android:apk-key-hash:x", False),
        ("https://localhost:notaport", False),
        ("https://user@localhost", False),
        ("", False),
    ],
)
def test_pages_that_may_ask(db: None, origin: str, is_taken: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert passkeys.is_ours(origin) is is_taken


def test_in_production_pages_are_on_https_and_named(db: None, settings: Any) -> None:
    settings.IN_DEVELOPMENT = False
    settings.WEBAUTHN_RP_ID = "example.com"
    settings.FRONTEND_URL = "https://app.example.com:8443/start"
    settings.API_HOSTS = frozenset({"api.example.com"})
    taken = ["https://app.example.com:8443", "https://api.example.com"]
    refused = [
        "https://app.example.com",
        "http://api.example.com",
        "https://api.example.com:8080",
        "https://old.example.com",
        "https://example.com.evil.test",
        "https://evilexample.com",
    ]
    assert [passkeys.is_ours(origin) for origin in taken + refused] == [True] * 2 + [False] * 6
    settings.WEBAUTHN_ORIGINS = ["android:apk-key-hash:x"]
    assert passkeys.is_ours("android:apk-key-hash:x")


def test_no_log_says_whose_passkey_it_is(holder: Person, passkey: Passkey, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    assert sign_in(holder, passkey).status_code == 200
    assert passkey.credential_id.hex() not in caplog.text


# --- A real browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def anna(unwrapped: None) -> Iterator[str]:
    """The address of somebody of this test's own, committed."""
    email = "anna@browser.test"
    accounts.create_user(email=email, password=PASSWORD)
    yield email
    User.objects.filter(email=email).delete()


def test_a_browser_makes_a_passkey_and_signs_in_with_it(anna: str) -> None:
    """Chromium with its virtual authenticator, on a page of a running server."""
    folder = Path(sys.prefix) / "clients"
    assert (folder / "node_modules" / "puppeteer-core").is_dir(), "missing Node packages: `make .venv/node.stamp`"
    script = shutil.copy(Path(__file__).parent / "clients" / "passkeys.mjs", folder)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    with serving(1) as (port,):
        done = subprocess.run(
            [Path(sys.prefix) / "bin" / "node", script, f"http://localhost:{port}", anna, PASSWORD],
            env={**os.environ, "CHROMIUM": browser},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["added"]["status"] == 201, found["added"]
    assert found["added"]["body"]["factor"]["transports"] == ["internal"]
    assert found["alone"]["status"] == 200, found["alone"]
    assert claims_of(found["alone"]["body"]["access_token"])["amr"] == ["hwk", "mfa"]
    assert found["waiting"]["body"]["methods"] == ["passkey", "recovery_code"]
    assert claims_of(found["both"]["body"]["access_token"])["amr"] == ["pwd", "hwk", "mfa"]
    assert found["again"]["body"]["code"] == "invalid_factor"
