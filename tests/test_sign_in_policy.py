"""What a tenant asks of its members' sign-ins, and that no way to a token leads around it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.members.models import Membership
from identity.sessions.models import Session
from identity.sessions.proof import FEDERATED, MULTI_FACTOR, ONE_TIME_CODE, Proof, Way
from identity.sessions.proof import PASSWORD as PWD
from identity.sessions.services import Device
from identity.sso.models import Connection
from identity.tokens import services as tokens
from identity.tokens.errors import SecondFactorAwaited
from tenants.audit.acting import requested
from tenants.audit.models import AuditEvent
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.registry.sign_in_policy import SignInPolicy
from tests.conftest import ACME, API_HOST, CAST, Call, sign_in
from tests.test_invitations import accept, invited

PATH = "/api/v1/tenant/sign-in-policy"
TWO_FACTORS = Proof(methods=(PWD, ONE_TIME_CODE, MULTI_FACTOR))
HERE = "127.0.0.1"


@pytest.fixture
def acme(db: None) -> Tenant:
    tenant: Tenant = Tenant.objects.get(slug="acme")
    return tenant


def ask_of(tenant: Tenant, **policy: Any) -> None:
    """Have a tenant ask for this. It has a provider, without which it could not ask for its own alone."""
    Connection.objects.create(
        tenant=tenant, name="Own", status="enabled", issuer="https://id.test", client_id="us", client_secret=b""
    )
    registry.set_sign_in_policy(tenant_id=tenant.pk, policy=SignInPolicy(**policy))


def user(name: str) -> User:
    return User.objects.get(email=f"{name}@acme.test")


def enter(name: str, proof: Proof, *, slug: str = "acme", address: str = HERE) -> Any:
    """Sign somebody in who has proved as much, and return their tokens."""
    person = User.objects.get(email=name if "@" in name else f"{name}@acme.test")
    with requested(address=address, request_id="test"):
        return tokens.sign_in(
            user=person, host_tenant=None, slug=slug, scope="", proof=proof, device=Device(address, "")
        )


def post(path: str, body: Any, token: str | None = None, **extra: Any) -> Any:
    headers = {"HTTP_HOST": API_HOST, **({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}), **extra}
    return APIClient().post(path, body, **headers)


def send(method: str, path: str, token: str, body: Any = None) -> Any:
    headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
    return getattr(APIClient(), method)(path, body, **headers)


def refresh(text: str, **extra: Any) -> Any:
    return post("/api/v1/auth/refresh", {"refresh_token": text}, **extra)


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


# --- What is asked --------------------------------------------------------------------------------------------------


def test_a_tenant_asks_for_nothing_unless_it_says_so(call: Call) -> None:
    answer = call("acme_admin", "GET", PATH)

    assert answer.json() == {
        "require_second_factor": False,
        "ways": [],
        "max_session_hours": None,
        "address_ranges": [],
        "break_glass": [],
    }


def test_a_second_factor_is_asked_for_as_rfc_9470_says(acme: Tenant) -> None:
    session = enter("member", Proof())
    ask_of(acme, require_second_factor=True)
    answer = refresh(session.refresh_token)

    assert code(answer) == (401, "insufficient_user_authentication")
    assert 'error="insufficient_user_authentication"' in answer["WWW-Authenticate"]
    assert 'acr_values="mfa"' in answer["WWW-Authenticate"]


def test_two_factors_are_let_in(acme: Tenant) -> None:
    ask_of(acme, require_second_factor=True)
    issued = enter("member", TWO_FACTORS)

    assert refresh(issued.refresh_token).status_code == 200


def test_a_providers_word_for_two_factors_counts(acme: Tenant) -> None:
    ask_of(acme, require_second_factor=True)
    proof = Proof(way=Way.SSO, methods=(FEDERATED, MULTI_FACTOR), only_tenant_id=acme.pk)

    assert enter("member", proof).tenant == "acme"


def test_another_way_is_refused_and_told_which_are_allowed(acme: Tenant) -> None:
    ask_of(acme, ways=frozenset({"sso", "passkey"}))
    sessions = Session.objects.filter(user=user("member"))
    before = sessions.count()
    answer = post("/api/v1/auth/login", {"email": "member@acme.test", "password": PASSWORD}, HTTP_HOST=ACME)

    assert code(answer) == (403, "way_not_allowed")
    assert answer.json()["ways"] == ["passkey", "sso"]
    assert sessions.count() == before, "a refused sign-in leaves no session behind"


def test_a_sign_in_that_is_too_old_is_refused_and_proving_it_again_helps(acme: Tenant) -> None:
    issued = enter("member", Proof())
    Session.objects.filter(user=user("member")).update(authenticated_at=timezone.now() - timedelta(hours=3))
    ask_of(acme, max_session_hours=2)
    refused = refresh(issued.refresh_token)
    Session.objects.filter(user=user("member")).update(authenticated_at=timezone.now() - timedelta(hours=1))

    assert code(refused) == (401, "sign_in_expired")
    assert refresh(issued.refresh_token).status_code == 200, "the refused exchange left the refresh token good"


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("203.0.113.9", True),
        ("203.0.114.9", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:203.0.113.9", True),
        ("", False),
        ("unknown", False),
    ],
)
def test_an_address_is_in_a_range_or_is_refused(acme: Tenant, address: str, is_allowed: Any) -> None:
    ask_of(acme, address_ranges=("203.0.113.0/24", "2001:db8::/32"))
    policy = SignInPolicy.of(Tenant.objects.get(pk=acme.pk))

    assert policy.allows_address(address) is is_allowed


def test_addresses_are_asked_about_at_sign_in_and_at_each_refresh(acme: Tenant) -> None:
    issued = enter("member", Proof())
    ask_of(acme, address_ranges=("203.0.113.0/24",))
    login = {"email": "member@acme.test", "password": PASSWORD}

    assert code(post("/api/v1/auth/login", login, HTTP_HOST=ACME)) == (403, "address_not_allowed")
    assert code(refresh(issued.refresh_token)) == (403, "address_not_allowed")
    assert refresh(issued.refresh_token, REMOTE_ADDR="203.0.113.7").status_code == 200


def test_an_address_is_not_what_the_client_says_it_is(acme: Tenant, settings: Any) -> None:
    issued = enter("member", Proof())
    ask_of(acme, address_ranges=("203.0.113.0/24",))
    lies = {"HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_X_REAL_IP": "203.0.113.7", "HTTP_FORWARDED": "for=203.0.113.7"}
    direct = refresh(issued.refresh_token, **lies)
    settings.TRUSTED_PROXIES = 1
    behind = refresh(issued.refresh_token, HTTP_X_FORWARDED_FOR="203.0.113.7, 198.51.100.2")
    honest = refresh(issued.refresh_token, HTTP_X_FORWARDED_FOR="198.51.100.2, 203.0.113.7")

    assert code(direct) == code(behind) == (403, "address_not_allowed")
    assert honest.status_code == 200


# --- Ways around it ---------------------------------------------------------------------------------------------------


def test_switching_into_the_tenant_is_held_to_it(acme: Tenant) -> None:
    issued = enter("both@people.test", Proof(), slug="globex")
    ask_of(acme, require_second_factor=True)

    assert code(post("/api/v1/auth/switch", {"tenant": "acme"}, issued.access_token)) == (
        401,
        "insufficient_user_authentication",
    )
    assert post("/api/v1/auth/switch", {"tenant": "globex"}, issued.access_token).status_code == 200


def test_exchanging_a_token_is_held_to_it(acme: Tenant) -> None:
    issued = enter("both@people.test", Proof(), slug="globex")
    ask_of(acme, ways=frozenset({"sso"}))
    kind = "urn:ietf:params:oauth:token-type:access_token"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": issued.access_token,
        "subject_token_type": kind,
        "audience": "acme",
        "client_id": "tenantry",
    }
    encoded = "&".join(f"{name}={value}" for name, value in form.items())
    answer = APIClient().post(
        "/oauth/token", encoded, content_type="application/x-www-form-urlencoded", HTTP_HOST=API_HOST
    )

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_target"
    assert "access_token" not in answer.json()


def test_refreshing_by_oauth_is_held_to_it(acme: Tenant) -> None:
    issued = enter("member", Proof())
    ask_of(acme, require_second_factor=True)
    answer = APIClient().post(
        "/oauth/token",
        f"grant_type=refresh_token&refresh_token={issued.refresh_token}",
        content_type="application/x-www-form-urlencoded",
        HTTP_HOST=API_HOST,
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_joining_by_invitation_is_no_way_around_it(call: Call, acme: Tenant) -> None:
    someone = sign_in(CAST["globex_owner"])
    token = invited(call, "owner@globex.test")
    ask_of(acme, require_second_factor=True)
    answer = accept(call, token, by=someone)

    assert answer.status_code == 201
    assert "access_token" not in answer.json()
    assert code(post("/api/v1/auth/switch", {"tenant": "acme"}, someone["access_token"])) == (
        401,
        "insufficient_user_authentication",
    )


def test_being_provisioned_anew_is_no_way_around_it(call: Call, acme: Tenant) -> None:
    """A directory takes a place away and gives it back, with a role by a group: that proves nothing of the person."""
    held = enter("member", Proof())
    ask_of(acme, require_second_factor=True)
    found = call("acme_scim", "GET", '/scim/v2/Users?filter=userName eq "member@acme.test"').json()["Resources"]
    for is_active in (False, True):
        change = {"op": "replace", "path": "active", "value": is_active}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [change]}
        assert call("acme_scim", "PATCH", f"/scim/v2/Users/{found[0]['id']}", body).status_code == 200

    assert send("get", "/api/v1/members", held.access_token).status_code == 401
    assert refresh(held.refresh_token).status_code == 401
    with pytest.raises(SecondFactorAwaited):
        enter("member", Proof())


def test_proving_again_with_a_password_is_not_a_second_factor(acme: Tenant) -> None:
    issued = enter("member", TWO_FACTORS)
    before = Session.objects.get(user=user("member"), methods__contains="mfa")
    ask_of(acme, require_second_factor=True)
    again = refresh(issued.refresh_token).json()
    answer = post("/api/v1/auth/step-up", {"password": PASSWORD}, again["access_token"])
    after = Session.objects.get(pk=before.pk)

    assert answer.status_code == 401 or "mfa" in after.methods
    assert after.methods == before.methods, "a refused proof changes nothing"


def test_proving_again_with_somebody_elses_password_changes_nothing(acme: Tenant) -> None:
    issued = enter("member", TWO_FACTORS)
    answer = post("/api/v1/auth/step-up", {"password": "not-the-password-at-all"}, issued.access_token)

    assert answer.status_code == 400
    assert "mfa" in Session.objects.get(user=user("member"), methods__contains="mfa").methods


def test_a_policy_is_of_its_own_tenant_alone(acme: Tenant) -> None:
    ask_of(acme, require_second_factor=True, ways=frozenset({"sso"}), address_ranges=("203.0.113.0/24",))

    assert enter("both@people.test", Proof(), slug="globex").tenant == "globex"


def test_machines_and_support_are_held_to_none(call: Call, acme: Tenant) -> None:
    ask_of(acme, require_second_factor=True, ways=frozenset({"sso"}))

    assert call("acme_client", "GET", "/api/v1/members").status_code == 200
    assert call("acme_support", "GET", "/api/v1/members").status_code == 200


# --- At once ----------------------------------------------------------------------------------------------------------


def test_asking_more_is_felt_on_the_next_request(acme: Tenant) -> None:
    issued = enter("member", Proof())
    assert send("get", "/api/v1/members", issued.access_token).status_code == 200
    ask_of(acme, require_second_factor=True)

    assert code(send("get", "/api/v1/members", issued.access_token)) == (401, "invalid_token")


def test_asking_less_disturbs_nobody(acme: Tenant) -> None:
    ask_of(acme, max_session_hours=1)
    issued = enter("member", Proof())
    ask_of(acme, max_session_hours=10)

    assert send("get", "/api/v1/members", issued.access_token).status_code == 200


@pytest.mark.parametrize(
    ("before", "after", "asks_more"),
    [
        ({}, {"require_second_factor": True}, True),
        ({"require_second_factor": True}, {}, False),
        ({}, {"ways": {"sso"}}, True),
        ({"ways": {"sso"}}, {"ways": {"sso", "social"}}, False),
        ({"ways": {"sso", "social"}}, {"ways": {"sso"}}, True),
        ({"ways": {"sso"}}, {"ways": {"social"}}, True),
        ({"max_session_hours": 5}, {"max_session_hours": 4}, True),
        ({"max_session_hours": 5}, {"max_session_hours": 6}, False),
        ({"max_session_hours": 5}, {}, False),
        ({"address_ranges": ("10.0.0.0/8",)}, {"address_ranges": ("10.0.0.0/9",)}, True),
        ({"address_ranges": ("10.0.0.0/8",)}, {}, False),
    ],
)
def test_more_is_known_from_less(before: Any, after: Any, asks_more: Any) -> None:
    assert SignInPolicy(**after).asks_more_than(SignInPolicy(**before)) is asks_more


# --- Breaking the glass -----------------------------------------------------------------------------------------------


def test_an_owner_who_breaks_the_glass_needs_two_factors_and_is_told_of(acme: Tenant) -> None:
    ask_of(acme, ways=frozenset({"sso"}), break_glass=frozenset({user("owner").pk}))
    login = {"email": "owner@acme.test", "password": PASSWORD}
    refused = post("/api/v1/auth/login", login, HTTP_HOST=ACME)
    issued = enter("owner", TWO_FACTORS)
    renewed = refresh(issued.refresh_token)
    events = AuditEvent.objects.filter(tenant_id=acme.pk, action="sign_in.glass_broken")

    assert refused.status_code == 401
    assert renewed.status_code == 200
    assert [event.actor_id for event in events] == [user("owner").pk], "once, not with each refresh"


def test_nobody_else_breaks_it(acme: Tenant) -> None:
    ask_of(acme, ways=frozenset({"sso"}), break_glass=frozenset({user("owner").pk, user("member").pk}))

    for name in ("admin", "member"):
        with pytest.raises(Exception, match="way of signing in"):
            enter(name, TWO_FACTORS)


def test_an_owner_who_is_one_no_longer_does_not(acme: Tenant) -> None:
    ask_of(acme, ways=frozenset({"sso"}), break_glass=frozenset({user("owner").pk}))
    Membership.objects.filter(tenant=acme, user=user("admin")).update(role="owner")
    Membership.objects.filter(tenant=acme, user=user("owner")).update(role="admin")

    with pytest.raises(Exception, match="way of signing in"):
        enter("owner", TWO_FACTORS)


# --- Changing it ------------------------------------------------------------------------------------------------------


def test_an_admin_changes_it_and_the_trail_tells(call: Call, acme: Tenant) -> None:
    answer = call("acme_admin", "PATCH", PATH, {"max_session_hours": 12, "address_ranges": ["127.0.0.0/8", "::1/128"]})
    event = AuditEvent.objects.filter(tenant_id=acme.pk, action="tenant.sign_in_policy_changed").latest("sequence")

    assert answer.status_code == 200
    assert answer.json()["address_ranges"] == ["127.0.0.0/8", "::1/128"]
    assert event.changes["max_session_hours"] == [None, 12]


@pytest.mark.parametrize("actor", ["acme_member", "acme_viewer", "acme_client", "acme_support"])
def test_others_neither_see_nor_change_it(call: Call, actor: str) -> None:
    assert call(actor, "GET", PATH).status_code == 403
    assert call(actor, "PATCH", PATH, {"require_second_factor": False}).status_code == 403


def test_it_takes_a_recent_sign_in(call: Call, settings: Any) -> None:
    settings.STEP_UP_MAX_AGE = timedelta(0)

    assert code(call("acme_owner", "PATCH", PATH, {})) == (401, "insufficient_user_authentication")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"require_second_factor": True}, "insufficient_user_authentication"),
        ({"ways": ["passkey"]}, "way_not_allowed"),
        ({"address_ranges": ["203.0.113.0/24"]}, "address_not_allowed"),
    ],
)
def test_nobody_locks_themselves_out(call: Call, acme: Tenant, changes: Any, reason: str) -> None:
    answer = call("acme_owner", "PATCH", PATH, changes)

    assert code(answer) == (409, "would_lock_out")
    assert answer.json()["reason"] == reason
    assert Tenant.objects.get(pk=acme.pk).sign_in_policy == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"ways": ["carrier-pigeon"]},
        {"ways": "sso"},
        {"ways": ["sso"] * 5},
        {"max_session_hours": 0},
        {"max_session_hours": 10**9},
        {"max_session_hours": "soon"},
        {"address_ranges": ["10.0.0.1/8"]},
        {"address_ranges": ["example.org"]},
        {"address_ranges": ["10.0.0.0/8\u0000"]},
        {"address_ranges": ["10.0.0.0/8"] * 101},
        {"address_ranges": [None]},
        {"break_glass": ["somebody"]},
        {"break_glass": [str(uuid4())]},
        {"require_second_factor": None},
        {"unknown": True},
        [],
    ],
)
def test_bad_input_is_a_plain_400(call: Call, changes: Any) -> None:
    assert code(call("acme_owner", "PATCH", PATH, changes)) == (400, "validation_error")


def test_only_owners_are_named_to_break_the_glass(call: Call) -> None:
    named = {"break_glass": [str(user("member").pk)]}
    strangers = {"break_glass": [str(User.objects.get(email="owner@globex.test").pk)]}

    assert code(call("acme_owner", "PATCH", PATH, named)) == (400, "validation_error")
    assert code(call("acme_owner", "PATCH", PATH, strangers)) == (400, "validation_error")
    assert call("acme_owner", "PATCH", PATH, {"break_glass": [str(user("owner").pk)]}).status_code == 200


def test_only_owners_name_them(call: Call) -> None:
    named = {"break_glass": [str(user("owner").pk)]}

    assert code(call("acme_admin", "PATCH", PATH, named)) == (403, "owners_decide")
    assert code(call("acme_admin", "PATCH", PATH, {"ways": ["sso"]})) == (403, "owners_decide")


def test_the_providers_way_alone_needs_an_owner_who_gets_past_it(call: Call, acme: Tenant) -> None:
    assert code(call("acme_owner", "PATCH", PATH, {"ways": ["sso"]})) == (409, "break_glass_required")


def test_whoever_hears_of_a_change_can_refuse_it(call: Call, acme: Tenant) -> None:
    from tenants.registry.errors import WrongState
    from tenants.registry.signals import sign_in_policy_changing

    def refuse(**signal: Any) -> None:
        raise WrongState("without a provider", "sso-only")

    sign_in_policy_changing.connect(refuse)
    try:
        answer = call("acme_owner", "PATCH", PATH, {"max_session_hours": 5})
    finally:
        sign_in_policy_changing.disconnect(refuse)

    assert code(answer) == (409, "wrong_state")
    assert Tenant.objects.get(pk=acme.pk).sign_in_policy == {}


def test_a_copy_of_a_tenant_keeps_nobody_out_who_could_mend_it(acme: Tenant) -> None:
    policy = SignInPolicy(
        require_second_factor=True, ways=frozenset({"sso"}), break_glass=frozenset({user("owner").pk})
    )

    assert policy.elsewhere() == SignInPolicy(require_second_factor=True)


def test_the_database_lets_a_tenant_change_its_own_policy_alone(call: Call, acme: Tenant) -> None:
    assert sign_in(CAST["globex_owner"])["tenant"] == "globex"
    assert call("acme_owner", "PATCH", PATH, {"max_session_hours": 5}).status_code == 200
    assert Tenant.objects.get(slug="globex").sign_in_policy == {}
