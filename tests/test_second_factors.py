"""Second factors: setting them up, signing in with them, and what somebody tries who has only some of what it takes."""

import base64
import json
import logging
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.factors import totp
from identity.factors.models import Challenge, Factor, RecoveryCode
from identity.sessions.models import Session
from operators.models import Operator
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant
from tests.conftest import ACME, GLOBEX, Call
from tests.mailed import Post, forgotten, mails_to
from tests.second_factors import AUTH, BOTH, ME, OPERATORS, Person, is_invalid

NEW_PASSWORD = "a new and rather long password"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def demand(slug: str, *, second_factor: bool = True) -> None:
    """Let a tenant ask for a second factor."""
    Tenant.objects.filter(slug=slug).update(sign_in_policy={"require_second_factor": second_factor})


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


# --- Setting up -------------------------------------------------------------------------------------------------------


def test_an_app_is_set_up_by_a_code_and_brings_recovery_codes(both: Person) -> None:
    begun = both.ask("POST", f"{ME}/totp")
    assert begun.status_code == 201
    assert begun.headers["Cache-Control"] == "no-store"
    assert begun.json()["otpauth_uri"].startswith("otpauth://totp/Tenantry:both%40people.test?secret=")
    assert both.ask("GET", ME).json() == {"results": [], "recovery_codes_left": 0}, "it does not count yet"
    assert both.login().status_code == 200

    added = both.add_app()

    assert len(set(added.json()["recovery_codes"])) == 10
    row = both.ask("GET", ME).json()["results"][0]
    assert row == added.json()["factor"] | {"id": row["id"]}
    assert (row["kind"], row["name"]) == ("totp", "Phone")
    assert both.ask("GET", ME).json()["recovery_codes_left"] == 10
    assert mails_to(BOTH) == ["Another way to prove who you are was added to your Tenantry account"]
    assert AuditEvent.objects.filter(action="account.second_factor_added").count() == 1


def test_the_sign_in_that_sets_it_up_has_proved_it_and_others_go_on_as_they_are(both: Person, call: Call) -> None:
    other = Person(call).sign_in()
    both.add_app()
    assert claims_of(both.refresh().token)["amr"] == ["pwd", "otp", "mfa"]
    assert claims_of(other.refresh().token)["amr"] == ["pwd"]


def test_a_wrong_code_sets_nothing_up(both: Person) -> None:
    begun = both.ask("POST", f"{ME}/totp").json()
    body = {"challenge": begun["challenge"], "code": "000000"}
    for _ in range(5):
        response = both.ask("POST", f"{ME}/totp/confirm", body)
        assert response.status_code == 400
        assert response.json()["errors"][0]["pointer"] == "#/code"
    both.secret = begun["secret"]
    assert both.ask("POST", f"{ME}/totp/confirm", body | {"code": both.code_shown()}).status_code == 400, "five tries"
    assert not Factor.objects.exists()


def test_nobody_confirms_what_somebody_else_has_begun(both: Person, call: Call) -> None:
    begun = both.ask("POST", f"{ME}/totp").json()
    both.secret = begun["secret"]
    other = Person(call, "owner@acme.test").sign_in()
    body = {"challenge": begun["challenge"], "code": both.code_shown()}
    assert other.ask("POST", f"{ME}/totp/confirm", body).status_code == 400
    assert both.ask("POST", f"{ME}/totp/confirm", body).status_code == 201


def test_an_account_that_nobody_has_proved_gets_no_second_factor(both: Person) -> None:
    """Or whoever claims an address first would keep the account by it, when its owner comes."""
    User.objects.filter(email=BOTH).update(email_verified_at=None)
    assert problem(both.ask("POST", f"{ME}/totp")) == (403, "address_not_proved")
    assert problem(both.ask("POST", f"{ME}/passkeys/options")) == (403, "address_not_proved")


def test_a_sign_in_without_one_changes_nothing_where_there_is_one(both: Person, call: Call) -> None:
    """Somebody with a stolen password, and a session from before, neither removes a factor nor adds their own."""
    thief = Person(call).sign_in()
    factor = both.add_app().json()["factor"]["id"]
    for method, path in (
        ("DELETE", f"{ME}/{factor}"),
        ("POST", f"{ME}/totp"),
        ("POST", f"{ME}/passkeys/options"),
        ("POST", f"{ME}/recovery-codes"),
    ):
        response = thief.ask(method, path)
        assert problem(response) == (401, "insufficient_user_authentication")
        assert 'acr_values="mfa"' in response.headers["WWW-Authenticate"]
    stepped_up = thief.ask("POST", f"{AUTH}/step-up", {"password": PASSWORD})
    assert problem(stepped_up) == (401, "second_factor_required")


def test_changes_need_a_recent_sign_in(with_app: Person, settings: Any) -> None:
    settings.STEP_UP_MAX_AGE = timedelta(seconds=-1)
    factor = with_app.ask("GET", ME).json()["results"][0]["id"]
    assert with_app.ask("PATCH", f"{ME}/{factor}", {"name": "Old phone"}).json()["name"] == "Old phone"
    for method, path in (("DELETE", f"{ME}/{factor}"), ("POST", f"{ME}/totp"), ("POST", f"{ME}/recovery-codes")):
        response = with_app.ask(method, path, {} if method == "POST" else None)
        assert problem(response) == (401, "insufficient_user_authentication")


def test_removing_the_last_one_takes_the_recovery_codes_along(with_app: Person) -> None:
    factor = with_app.ask("GET", ME).json()["results"][0]["id"]
    assert with_app.ask("DELETE", f"{ME}/{factor}").status_code == 204
    assert with_app.ask("GET", ME).json() == {"results": [], "recovery_codes_left": 0}
    assert with_app.login().status_code == 200
    assert mails_to(BOTH)[-1] == "A way to prove who you are was removed from your Tenantry account"
    assert with_app.ask("DELETE", f"{ME}/{factor}").status_code == 404


def test_nobody_reaches_another_ones(with_app: Person, call: Call) -> None:
    factor = with_app.ask("GET", ME).json()["results"][0]["id"]
    other = Person(call, "owner@acme.test").sign_in()
    assert other.ask("GET", ME).json() == {"results": [], "recovery_codes_left": 0}
    assert other.ask("PATCH", f"{ME}/{factor}", {"name": "Mine"}).status_code == 404
    assert other.ask("DELETE", f"{ME}/{factor}").status_code == 404


def test_new_recovery_codes_replace_the_old_ones(with_app: Person) -> None:
    old = with_app.codes[0]
    new = with_app.ask("POST", f"{ME}/recovery-codes").json()["recovery_codes"]
    assert is_invalid(with_app.answer(with_app.waiting()["challenge"], recovery_code=old))
    assert with_app.answer(with_app.waiting()["challenge"], recovery_code=new[0]).status_code == 200


def test_recovery_codes_alone_are_no_second_factor(both: Person) -> None:
    assert problem(both.ask("POST", f"{ME}/recovery-codes")) == (409, "no_second_factor")


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_a_password_alone_is_answered_with_a_challenge(with_app: Person) -> None:
    waiting = with_app.waiting(tenant="globex", scope="tenant:read sessions:write")
    assert waiting["methods"] == ["totp", "recovery_code"]
    assert (waiting["enroll"], waiting["expires_in"]) == ([], 300)

    response = with_app.answer(waiting["challenge"], code=with_app.code())

    assert response.status_code == 200
    assert (response.json()["tenant"], response.json()["scope"]) == ("globex", "sessions:write tenant:read")
    claims = claims_of(response.json()["access_token"])
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert "recovery_codes" not in response.json()
    assert response.headers["Cache-Control"] == "no-store"


def test_no_session_begins_before_it_is_answered(with_app: Person) -> None:
    before = Session.objects.count()
    with_app.waiting()
    assert Session.objects.count() == before


def test_a_code_is_good_once(with_app: Person) -> None:
    code = with_app.code()
    assert with_app.answer(with_app.waiting()["challenge"], code=code).status_code == 200
    assert is_invalid(with_app.answer(with_app.waiting()["challenge"], code=code))
    assert is_invalid(with_app.answer(with_app.waiting()["challenge"], code=with_app.code_shown(-1))), "an older one"
    assert with_app.answer(with_app.waiting()["challenge"], code=with_app.code_shown(1)).status_code == 200


def test_a_clock_may_be_half_a_minute_off_and_no_more(with_app: Person) -> None:
    for steps, status in ((-2, 401), (2, 401), (-1, 200), (1, 200)):
        response = with_app.answer(with_app.waiting()["challenge"], code=with_app.code(steps))
        assert response.status_code == status, steps


def test_a_recovery_code_is_good_once_and_its_person_is_told(with_app: Person) -> None:
    code = with_app.codes[0]
    response = with_app.answer(with_app.waiting()["challenge"], recovery_code=code.upper().replace("-", " "))
    assert claims_of(response.json()["access_token"])["amr"] == ["pwd", "recovery", "mfa"]
    assert is_invalid(with_app.answer(with_app.waiting()["challenge"], recovery_code=code))
    assert with_app.ask("GET", ME).json()["recovery_codes_left"] == 9
    assert mails_to(BOTH)[-1] == "A recovery code of your Tenantry account was used"


def test_a_challenge_is_good_once(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    assert with_app.answer(challenge, code=with_app.code()).status_code == 200
    assert is_invalid(with_app.answer(challenge, code=with_app.code()))


def test_a_challenge_is_good_for_five_tries(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    for _ in range(5):
        assert is_invalid(with_app.answer(challenge, code="000000"))
    assert is_invalid(with_app.answer(challenge, code=with_app.code()))
    assert with_app.answer(with_app.waiting()["challenge"], code=with_app.code()).status_code == 200


def test_a_challenge_is_good_for_five_minutes(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    Challenge.objects.update(expires_at=timezone.now())
    assert is_invalid(with_app.answer(challenge, code=with_app.code()))
    call_command("prune", "--json")
    assert not Challenge.objects.exists()


@pytest.mark.parametrize("challenge", ["", "x", "A" * 43, "é" * 43, "A" * 42 + "B", "a" * 44])
def test_a_made_up_challenge_is_refused(call: Call, challenge: str) -> None:
    response = Person(call).answer(challenge, code="123456")
    assert is_invalid(response) or response.status_code == 400


def test_another_persons_factor_answers_nothing(with_app: Person, call: Call) -> None:
    mallory = Person(call, "owner@acme.test").sign_in()
    mallory.add_app()
    challenge = with_app.waiting()["challenge"]
    assert is_invalid(mallory.answer(challenge, code=mallory.code()))
    assert is_invalid(mallory.answer(challenge, recovery_code=mallory.codes[0]))
    assert RecoveryCode.objects.filter(user__email=mallory.email).count() == 10


def test_a_challenge_of_one_api_is_nothing_to_the_other(call: Call) -> None:
    """Whoever is staff and a person signs in to each with a challenge of its own."""
    staff = Person(call, OPERATOR_EMAIL).sign_in()
    staff.add_app()
    as_staff = Person(call, OPERATOR_EMAIL, auth=OPERATORS, secret=staff.secret)
    assert is_invalid(staff.answer(staff.waiting()["challenge"], auth=OPERATORS, code=staff.code()))
    assert is_invalid(as_staff.answer(as_staff.waiting()["challenge"], auth=AUTH, code=staff.code()))
    assert as_staff.answer(as_staff.waiting()["challenge"], code=staff.code()).status_code == 200


def test_a_challenge_is_nothing_on_another_tenants_host(with_app: Person) -> None:
    challenge = with_app.waiting(tenant="acme")["challenge"]
    response = with_app.answer(challenge, host=GLOBEX, code=with_app.code())
    assert problem(response) == (403, "tenant_mismatch")
    assert with_app.answer(challenge, host=ACME, code=with_app.code()).status_code == 200


def test_a_challenge_of_setting_up_is_no_challenge_of_signing_in(with_app: Person) -> None:
    begun = with_app.ask("POST", f"{ME}/totp").json()
    assert is_invalid(with_app.answer(begun["challenge"], code=with_app.code()))
    waiting = with_app.waiting()
    body = {"challenge": waiting["challenge"], "code": with_app.code()}
    assert with_app.ask("POST", f"{ME}/totp/confirm", body).status_code == 400


def test_a_password_that_changes_meanwhile_ends_the_sign_in(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    user = User.objects.get(email=BOTH)
    accounts.change_password(user_id=user.pk, current=PASSWORD, new=NEW_PASSWORD, keep_session=None)
    assert is_invalid(with_app.answer(challenge, code=with_app.code()))
    with_app.password = NEW_PASSWORD
    assert with_app.answer(with_app.waiting()["challenge"], code=with_app.code()).status_code == 200


def test_an_account_that_is_closed_meanwhile_ends_the_sign_in(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    accounts.set_active(user_id=User.objects.get(email=BOTH).pk, is_active=False)
    assert is_invalid(with_app.answer(challenge, code=with_app.code()))


def test_a_factor_that_is_added_while_somebody_signs_in_is_not_passed_by(both: Person) -> None:
    """Between the look at the password and the session."""
    user = User.objects.get(email=BOTH)
    both.add_app()
    with accounts.credentials_held(user) as held:
        assert not held


def test_exactly_one_factor_is_sent(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    for given in (
        {},
        {"code": "123456", "recovery_code": "x"},
        {"code": "12345"},
        {"code": "\u0661" * 6},
        {"pin": "1"},
    ):
        assert with_app.answer(challenge, **given).status_code == 400


# --- Guessing ---------------------------------------------------------------------------------------------------------


def test_codes_of_an_account_are_tried_twenty_times_an_hour(with_app: Person) -> None:
    """Whoever asks, from wherever, with however many challenges: it is counted in the database."""
    for _ in range(4):
        challenge = with_app.waiting()["challenge"]
        for _ in range(5):
            assert is_invalid(with_app.answer(challenge, code="000000"))
    response = with_app.answer(with_app.waiting()["challenge"], code=with_app.code())
    assert problem(response) == (429, "too_many_tries")
    assert 3500 < int(response.headers["Retry-After"]) <= 3600
    # Who has lost no more than patience gets in otherwise.
    assert with_app.answer(with_app.waiting()["challenge"], recovery_code=with_app.codes[0]).status_code == 200
    Factor.objects.update(tries_since=timezone.now() - timedelta(hours=1))
    assert with_app.answer(with_app.waiting()["challenge"], code=with_app.code()).status_code == 200


def test_codes_tried_in_a_session_count_too(with_app: Person) -> None:
    for _ in range(20):
        assert with_app.ask("POST", f"{AUTH}/step-up", {"code": "000000"}).status_code == 400
    assert problem(with_app.ask("POST", f"{AUTH}/step-up", {"code": with_app.code()})) == (429, "too_many_tries")


def test_an_address_that_fails_often_waits(with_app: Person, settings: Any) -> None:
    settings.THROTTLES = True
    answers = [with_app.answer("A" * 43, code="000000").status_code for _ in range(12)]
    assert answers[:5] == [401] * 5
    assert 429 in answers


# --- Where it is demanded ---------------------------------------------------------------------------------------------


def test_a_tenant_that_asks_for_one_has_people_set_it_up_on_the_way(call: Call) -> None:
    demand("acme")
    person = Person(call)
    waiting = person.waiting(tenant="acme")
    assert (waiting["methods"], waiting["enroll"]) == ([], ["totp"])
    begun = person.ask("POST", f"{AUTH}/second-factor/enroll", {"challenge": waiting["challenge"]}).json()
    again = person.ask("POST", f"{AUTH}/second-factor/enroll", {"challenge": waiting["challenge"]}).json()
    assert begun == again
    person.secret = begun["secret"]

    response = person.answer(waiting["challenge"], code=person.code_shown())

    assert response.status_code == 200, response.content
    assert claims_of(response.json()["access_token"])["amr"] == ["pwd", "otp", "mfa"]
    assert len(response.json()["recovery_codes"]) == 10
    assert person.waiting(tenant="globex")["methods"] == ["totp", "recovery_code"]
    assert mails_to(BOTH) == ["Another way to prove who you are was added to your Tenantry account"]


def test_it_is_not_set_up_on_the_way_by_who_has_one(with_app: Person) -> None:
    challenge = with_app.waiting()["challenge"]
    assert is_invalid(with_app.ask("POST", f"{AUTH}/second-factor/enroll", {"challenge": challenge}))
    assert with_app.answer(challenge, code=with_app.code()).status_code == 200


def test_a_second_one_is_not_smuggled_in_by_two_sign_ins_at_once(call: Call) -> None:
    """Of two that set up an app on the way, the second one finds an account that has one."""
    demand("acme")
    first, second = Person(call), Person(call)
    challenges = [person.waiting(tenant="acme")["challenge"] for person in (first, second)]
    for person, challenge in zip((first, second), challenges, strict=True):
        begun = person.ask("POST", f"{AUTH}/second-factor/enroll", {"challenge": challenge}).json()
        person.secret = begun["secret"]
    assert first.answer(challenges[0], code=first.code_shown()).status_code == 200
    assert is_invalid(second.answer(challenges[1], code=second.code_shown()))


def test_nothing_leads_around_a_tenants_demand(both: Person, post: Post) -> None:
    """Neither refreshing, nor switching, nor exchanging, nor another password, nor an invitation."""
    globex = both.login(tenant="globex").json()
    acme = both.login(tenant="acme").json()
    demand("acme")
    refreshed = both.ask("POST", f"{AUTH}/refresh", {"refresh_token": acme["refresh_token"]}, as_nobody=True)
    assert problem(refreshed) == (401, "insufficient_user_authentication")
    both.token = globex["access_token"]
    assert problem(both.ask("POST", f"{AUTH}/switch", {"tenant": "acme"})) == (401, "insufficient_user_authentication")
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": both.token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "acme",
    }
    exchanged = both.call(
        "nobody",
        "POST",
        "/oauth/token",
        "&".join(f"{key}={value}" for key, value in form.items()).encode(),
        host="localhost",
        content_type="application/x-www-form-urlencoded",
    )
    assert exchanged.status_code in (400, 401)
    assert "access_token" not in exchanged.json()
    reset = post("auth/password/reset", {"token": forgotten(post, BOTH), "new_password": NEW_PASSWORD})
    assert (reset.status_code, reset.content) == (204, b"")
    both.password = NEW_PASSWORD
    assert both.waiting(tenant="acme")["enroll"] == ["totp"]


def test_joining_by_an_invitation_signs_nobody_in(call: Call) -> None:
    body = {"email": "vera@people.test", "role": "viewer"}
    assert call("acme_owner", "POST", "/api/v1/invitations", body).status_code == 201
    demand("acme")
    mails_to(body["email"])
    (token,) = re.findall("^(ti_.*)$", str(mail.outbox[-1].body), re.MULTILINE)
    vera = Person(call, body["email"], NEW_PASSWORD)
    accepted = vera.ask("POST", "/api/v1/invitations/accept", {"token": token, "password": NEW_PASSWORD})
    assert set(accepted.json()) == {"email", "tenant", "tenant_name"}
    assert vera.waiting()["enroll"] == ["totp"]


def test_a_reset_password_leaves_second_factors_as_they_are(with_app: Person, post: Post) -> None:
    post("auth/password/reset", {"token": forgotten(post, BOTH), "new_password": NEW_PASSWORD})
    with_app.password = NEW_PASSWORD
    assert with_app.answer(with_app.waiting()["challenge"], code=with_app.code()).status_code == 200


# --- Proving it again -------------------------------------------------------------------------------------------------


def test_stepping_up_by_a_code_opens_a_stricter_tenant(both: Person, call: Call) -> None:
    old = Person(call).sign_in(tenant="globex")
    both.add_app()
    old.secret = both.secret
    demand("acme")
    assert old.ask("POST", f"{AUTH}/switch", {"tenant": "acme"}).status_code == 401
    stepped_up = old.ask("POST", f"{AUTH}/step-up", {"code": old.code()})
    assert claims_of(stepped_up.json()["access_token"])["amr"] == ["pwd", "otp", "mfa"]
    assert old.ask("POST", f"{AUTH}/switch", {"tenant": "acme"}).json()["tenant"] == "acme"


def test_a_code_that_was_used_to_step_up_signs_nobody_in(with_app: Person) -> None:
    code = with_app.code()
    assert with_app.ask("POST", f"{AUTH}/step-up", {"code": code}).status_code == 200
    assert is_invalid(with_app.answer(with_app.waiting()["challenge"], code=code))
    assert with_app.ask("POST", f"{AUTH}/step-up", {"code": code}).json()["errors"][0]["pointer"] == "#/code"


def test_a_password_is_looked_at_beside_a_code(with_app: Person) -> None:
    wrong = with_app.ask("POST", f"{AUTH}/step-up", {"password": "wrong", "code": with_app.code()})
    assert wrong.json()["errors"][0]["code"] == "wrong_password"
    good = with_app.ask("POST", f"{AUTH}/step-up", {"password": PASSWORD, "code": with_app.code()})
    assert good.status_code == 200
    assert with_app.ask("POST", f"{AUTH}/step-up", {}).status_code == 400


def test_who_has_none_steps_up_by_password_as_ever(both: Person) -> None:
    response = both.ask("POST", f"{AUTH}/step-up", {"password": PASSWORD})
    assert claims_of(response.json()["access_token"])["amr"] == ["pwd"]
    assert both.ask("POST", f"{AUTH}/step-up", {"code": "123456"}).status_code == 400


# --- Staff ------------------------------------------------------------------------------------------------------------


def test_staff_need_one_where_the_platform_says_so(call: Call, settings: Any) -> None:
    staff = Person(call, OPERATOR_EMAIL, auth=OPERATORS).sign_in()
    settings.OPERATOR_SECOND_FACTOR = True
    refreshed = staff.ask("POST", f"{OPERATORS}/refresh", {"refresh_token": staff.refresh_token}, as_nobody=True)
    assert problem(refreshed) == (401, "insufficient_user_authentication")
    assert problem(staff.ask("POST", f"{OPERATORS}/step-up", {"password": PASSWORD})) == (401, "second_factor_required")
    waiting = staff.waiting()
    assert (waiting["methods"], waiting["enroll"]) == ([], ["totp"])
    begun = staff.ask("POST", f"{OPERATORS}/second-factor/enroll", {"challenge": waiting["challenge"]}).json()
    staff.secret = begun["secret"]
    staff.keep(staff.answer(waiting["challenge"], code=staff.code_shown()))
    assert claims_of(staff.refresh().token)["amr"] == ["pwd", "otp", "mfa"]
    assert staff.ask("GET", "/operator/v1/me").status_code == 200
    assert staff.ask("POST", f"{OPERATORS}/step-up", {"code": staff.code()}).status_code == 200
    assert problem(staff.ask("POST", f"{OPERATORS}/step-up", {"password": PASSWORD})) == (401, "second_factor_required")


def test_who_left_the_staff_meanwhile_does_not_get_in(call: Call, settings: Any) -> None:
    staff = Person(call, OPERATOR_EMAIL)
    staff.sign_in().add_app()
    staff.auth = OPERATORS
    challenge = staff.waiting()["challenge"]
    Operator.objects.filter(user__email=OPERATOR_EMAIL).update(is_active=False)
    assert problem(staff.answer(challenge, code=staff.code())) == (401, "invalid_credentials")


def test_a_person_who_is_no_staff_is_told_nothing_new(with_app: Person) -> None:
    """The operator API answers who has a second factor, and is not on the staff, as it answers a wrong password."""
    with_app.auth = OPERATORS
    assert problem(with_app.login()) == (401, "invalid_credentials")


# --- Who has lost them ------------------------------------------------------------------------------------------------


def test_a_command_removes_all_of_somebody(with_app: Person, capsys: Any) -> None:
    call_command("remove_second_factors", BOTH)
    assert "Removed 1 second factors" in capsys.readouterr().out
    assert with_app.login().status_code == 200
    assert not RecoveryCode.objects.exists()
    assert mails_to(BOTH)[-1] == "The second factors of your Tenantry account were removed"
    assert AuditEvent.objects.filter(action="account.second_factors_reset").count() == 1
    with pytest.raises(CommandError):
        call_command("remove_second_factors", f"{uuid4()}@people.test")


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_no_secret_is_kept_or_logged_in_clear(both: Person, caplog: Any) -> None:
    """Neither of an app, nor a recovery code, a challenge, or a code."""
    caplog.set_level(logging.DEBUG)
    both.add_app()
    waiting = both.waiting()
    code = both.code()
    both.answer(waiting["challenge"], code=code)
    both.answer(both.waiting()["challenge"], recovery_code=both.codes[0])
    both.waiting()
    with connection.cursor() as cursor:
        found = []
        for table in (
            "factors_factor",
            "factors_recoverycode",
            "factors_challenge",
            "audit_auditevent",
            "mail_outgoingmail",
        ):
            cursor.execute(f"SELECT to_jsonb(row)::text FROM {table} row")  # noqa: S608 -- names of ours
            found += [text for (text,) in cursor.fetchall()]
    text = "\n".join(found) + caplog.text
    raw = base64.b32decode(both.secret)
    for secret in (both.secret, raw.hex(), *both.codes, *(each.replace("-", "") for each in both.codes)):
        assert secret not in text
    assert waiting["challenge"] not in text
    assert base64.urlsafe_b64decode(waiting["challenge"] + "=").hex() not in text


def test_secrets_outlive_a_change_of_the_servers_key(with_app: Person, settings: Any) -> None:
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another secret key, rather long " * 2, [former]
    call_command("encrypt_factors_again")
    settings.SECRET_KEY_FALLBACKS = []
    sealed = Factor.objects.get(user__email=BOTH).secret
    assert sealed is not None
    assert totp.step_of(sealed, with_app.code_shown())
    settings.SECRET_KEY = former
    assert totp.step_of(sealed, with_app.code_shown()) is None, "nobody can read it: it is wrong, and no error"
