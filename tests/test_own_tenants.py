"""Tenants that people create for themselves, and what their admins set."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from config.demo_data import PASSWORD, TENANTS
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.members.models import Membership
from permissions.roles import Role
from tenants.audit.models import AuditEvent
from tenants.registry.models import Domain, Tenant, TenantStatus
from tests.committed import remove, schemas
from tests.conftest import ACME, API_HOST, CAST, Actor, Call, sign_in
from tests.test_members import code, events
from tests.test_races import post
from tests.test_roles import error_codes
from tests.test_sessions import bearer, me, refresh

OWN = "/api/v1/tenants"
FOUNDER = Actor("founder@own.test", API_HOST)
Tokens = dict[str, Any]


@pytest.fixture
def founder(unwrapped: None) -> Iterator[User]:
    """Somebody in no tenant; they and what they create are gone afterwards."""
    yield accounts.create_user(email=FOUNDER.email or "", password=PASSWORD)
    for tenant in Tenant.objects.using("owner").exclude(slug__in=TENANTS):
        remove(tenant)
    User.objects.filter(email__endswith="@own.test").delete()


def create(tokens: Tokens, slug: str = "initech", name: str = "Initech", **more: Any) -> Any:
    return post(OWN, {"name": name, "slug": slug, **more}, token=tokens["access_token"])


def registered() -> dict[str, Any]:
    """Everything that a tenant leaves in the database."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 't\_%'")
        roles = {name for (name,) in cursor.fetchall()}
    models = (Tenant, Domain, Membership)
    rows = {model.__name__: set(model.objects.values_list("pk", flat=True)) for model in models}
    events = AuditEvent.objects.exclude(tenant=None).count()
    return {**rows, "events": events, "schemas": schemas(), "roles": roles}


# --- Creating one -----------------------------------------------------------------------------------------------------


def test_a_tenant_of_ones_own_is_there_at_once(founder: User) -> None:
    """Created, entered, used: with the token of before, and by signing in on its host."""
    tokens = sign_in(FOUNDER)
    assert tokens["tenant"] is None
    created = create(tokens)
    body = created.json()
    assert (created.status_code, body["slug"], body["role"], body["status"]) == (201, "initech", "owner", "active")
    assert body["domains"] == ["initech.localhost"]
    entered = post("/api/v1/auth/switch", {"tenant": "initech"}, token=tokens["access_token"]).json()
    assert (entered["tenant"], entered["role"]) == ("initech", "owner")
    for host, token in (("initech.localhost", entered), (API_HOST, sign_in(Actor(FOUNDER.email, "initech.localhost")))):
        project = post("/api/v1/projects", {"name": "TPS"}, host=host, token=token["access_token"])
        assert project.status_code == 201, project.content
    assert sign_in(FOUNDER)["tenant"] == "initech", "it is where they land from now on"
    assert events("initech") == ["tenant.created", "member.added"]
    made = AuditEvent.objects.filter(tenant__slug="initech")
    assert {(event.actor_kind, event.actor_id) for event in made} == {("person", founder.pk)}
    assert made.get(action="member.added").changes == {"role": [None, "owner"], "reason": [None, "created"]}


def test_a_member_of_another_tenant_creates_one_as_well(founder: User) -> None:
    """Whatever their role there, also on its host; that tenant is not concerned."""
    before, viewer = events("acme"), sign_in(CAST["acme_viewer"])
    created = post(OWN, {"name": "Side", "slug": "side-business"}, host=ACME, token=viewer["access_token"])
    assert created.status_code == 201
    assert events("acme") == before
    user = User.objects.get(email="viewer@acme.test")
    assert set(Membership.objects.filter(user=user).values_list("tenant__slug", "role")) == {
        ("acme", "viewer"),
        ("side-business", "owner"),
    }


def test_one_person_creates_a_bounded_number(founder: User, settings: Any) -> None:
    """What they create counts, not what they own; and each person for themselves."""
    assert settings.OWN_TENANTS_LIMIT == 5
    settings.OWN_TENANTS_LIMIT = 2
    tokens = sign_in(FOUNDER)
    assert [code(create(tokens, f"own-{number}")) for number in range(3)] == ["", "", "too_many_tenants"]
    other = accounts.create_user(email="other@own.test", password=PASSWORD)
    for tenant in Tenant.objects.filter(created_by=founder.pk):
        members.add_member(tenant_id=tenant.pk, user_id=other.pk, role=Role.OWNER)
        members.leave(tenant_id=tenant.pk, user_id=founder.pk)
    before = registered()
    assert code(create(tokens, "own-3")) == "too_many_tenants"
    assert registered() == before
    assert create(sign_in(Actor(other.email, API_HOST)), "own-4").status_code == 201


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"slug": "acme"}, "slug_taken"),
        ({"slug": "admin"}, "reserved_slug"),
        ({"slug": "public"}, "reserved_slug"),
        ({"slug": "Initech"}, "invalid_slug"),
        ({"slug": "xn--80ak6aa92e"}, "invalid_slug"),
        ({"slug": "a"}, "invalid_slug"),
        ({"slug": "in_itech"}, "invalid_slug"),
        ({"slug": "x" * 41}, "max_length"),
        ({"slug": "initech\u200b"}, "invalid_slug"),
        ({"slug": ""}, "blank"),
        ({"slug": None}, "null"),
        ({"name": ""}, "blank"),
        ({"name": "x" * 121}, "max_length"),
        ({"role": "owner"}, "read_only"),
        ({"created_by": None}, "unknown_field"),
        ({"schema_name": "public"}, "unknown_field"),
        ({"status": "active"}, "read_only"),
    ],
)
def test_a_refusal_leaves_nothing(founder: User, values: dict[str, Any], expected: str) -> None:
    tokens, before = sign_in(FOUNDER), registered()
    refused = create(tokens, **values)
    found = {name for _, name in error_codes(refused)} if code(refused) == "validation_error" else {code(refused)}
    assert (refused.status_code in {400, 409}, expected in found) == (True, True), refused.content
    assert registered() == before


def test_a_tenant_whose_birth_fails_halfway_leaves_nothing(founder: User) -> None:
    """Its owner cannot be written, here: the schema that was made by then is gone as well."""
    tokens, before = sign_in(FOUNDER), registered()
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE members_membership ADD CONSTRAINT nobody_new CHECK (false) NOT VALID")
    try:
        failed = create(tokens)
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("ALTER TABLE members_membership DROP CONSTRAINT nobody_new")
    assert (failed.status_code, registered()) == (409, before)
    assert create(tokens).status_code == 201


def test_only_people_create_tenants(call: Call) -> None:
    """No machine, no support access, no operator's token, nobody without the scope, no closed account."""
    before, body = registered(), {"name": "Initech", "slug": "initech"}
    callers = {"acme_client": 403, "acme_support": 403, "operator": 401, "nobody": 401}
    assert {actor: call(actor, "POST", OWN, body, host=API_HOST).status_code for actor in callers} == callers
    narrow = sign_in(CAST["acme_owner"], scope="profile:write sessions:write")
    refused = call("nobody", "POST", OWN, body, **bearer(narrow))
    assert (code(refused), refused.json()["scope"]) == ("insufficient_scope", "tenants:write")
    tokens = sign_in(CAST["acme_viewer"])
    accounts.set_active(user_id=User.objects.get(email="viewer@acme.test").pk, is_active=False)
    assert call("nobody", "POST", OWN, body, **bearer(tokens)).status_code == 401
    assert registered() == before


# --- What its admins set ----------------------------------------------------------------------------------------------

SETTINGS = {
    "name": "Acme Ltd",
    "locale": "pt-BR",
    "time_zone": "Europe/Lisbon",
    "branding": {"primary_color": "#1a73E8", "welcome": "Olá ☀", "logo_url": "https://acme.test/logo.png?v=2#x"},
    "shows_addresses": True,
}


def test_settings_are_read_by_all_and_written_by_admins(call: Call) -> None:
    before, tokens = events(), sign_in(CAST["acme_viewer"])
    assert {name: call("acme_viewer", "GET", "/api/v1/tenant").json()[name] for name in SETTINGS} == {
        "name": "Acme Corporation", "locale": "en", "time_zone": "UTC", "branding": {}, "shows_addresses": False,
    }  # fmt: skip
    for actor in ("acme_viewer", "acme_member", "acme_client", "acme_support"):
        assert code(call(actor, "PATCH", "/api/v1/tenant", SETTINGS)) == "insufficient_scope"
    changed = call("acme_admin", "PATCH", "/api/v1/tenant", SETTINGS)
    assert (changed.status_code, {name: changed.json()[name] for name in SETTINGS}) == (200, SETTINGS)
    for actor in ("acme_viewer", "acme_client", "acme_support", "acme_owner"):
        assert call(actor, "GET", "/api/v1/tenant").json() == changed.json()
    assert call("acme_admin", "PATCH", "/api/v1/tenant", SETTINGS).status_code == 200
    assert events()[len(before) :] == ["tenant.changed"], "nothing changed the second time: no event"
    event = AuditEvent.objects.filter(action="tenant.changed").latest("sequence")
    assert {name: pair[1] for name, pair in event.changes.items()} == SETTINGS
    assert (me(call, tokens).status_code, refresh(call, tokens).status_code) == (200, 200), "tokens stay good"
    assert call("globex_owner", "GET", "/api/v1/tenant").json()["name"] == "Globex Industries"


def test_branding_is_replaced_as_a_whole(call: Call) -> None:
    for branding in ({"welcome": "Hello", "primary_color": "#000000"}, {"support_url": "https://help.test"}, {}):
        assert call("acme_owner", "PATCH", "/api/v1/tenant", {"branding": branding}).json()["branding"] == branding


URLS = [
    "http://acme.test/x", "javascript:alert(1)", "data:text/html,x", "//acme.test/x", "/logo.png", "https:", "https://",
    "https:///x", "ftp://acme.test", "https://user@acme.test", "https://user:pw@acme.test", "https://@acme.test",
    "https://acme.test/a b", "https://acme.test/\n", "https://acme.test/\t", " https://acme.test", "https://acmé.test",
    "https://[::1", "https://acme.test/" + "x" * 500, "https://acme.test/\"onerror=\"alert(1)", "https://<script>/",
    "https://acme.test\\@evil.test/", "https://acme.test/{x}", "https://acme.test/`x`", "", "https://acme.test/\u0000",
]  # fmt: skip
BAD_BRANDING: list[Any] = [
    *({name: url} for name in ("logo_url", "support_url") for url in URLS),
    *({"primary_color": color} for color in ("red", "#fff", "1a73e8", "#1a73e8 ", "#1a73eg", "#\uff11a73e8")),
    *({"welcome": text} for text in ("x" * 201, "a\u0000b")),
    *({name: value} for name in ("welcome", "logo_url", "primary_color") for value in (None, 1, True, ["x"], {"a": 1})),
    {"css": "body{}"}, {"Welcome": "x"}, {"": "x"}, {"welcome": "fine", "script": "x"},
    [], ["welcome"], "welcome", 1, True, None,
]  # fmt: skip


def test_branding_that_is_none(call: Call) -> None:
    before = events()
    for branding in BAD_BRANDING:
        refused = call("acme_owner", "PATCH", "/api/v1/tenant", {"branding": branding})
        assert refused.status_code == 400, branding
        assert {pointer for pointer, _ in error_codes(refused)} == {"#/branding"}, branding
    assert (Tenant.objects.get(slug="acme").branding, events()) == ({}, before)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("locale", ["", "e", "english!", "en_GB", "x" * 36, "en-", "-en", "en\nx", "ën", None, 1]),
        ("time_zone", ["", "Lisbon", "europe/lisbon", "../etc/passwd", "UTC x", "+01:00", "x" * 65, None, 1]),
        ("shows_addresses", ["", "perhaps", None, 2, {}]),
        ("name", ["", " ", None, "x" * 121, {}, "a\u0000b"]),
    ],
)
def test_settings_that_are_none(call: Call, field: str, values: list[Any]) -> None:
    for value in values:
        refused = call("acme_owner", "PATCH", "/api/v1/tenant", {field: value, "branding": {"welcome": "x"}})
        assert refused.status_code == 400, value
        assert {pointer for pointer, _ in error_codes(refused)} == {f"#/{field}"}, value
    assert Tenant.objects.get(slug="acme").branding == {}


def test_a_suspended_tenant_is_not_changed(call: Call) -> None:
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert code(call("acme_owner", "PATCH", "/api/v1/tenant", {"name": "Other"})) == "tenant_suspended"
    assert Tenant.objects.get(slug="acme").name == "Acme Corporation"


def test_everybody_reads_what_is_set_whatever_their_role(call: Call) -> None:
    for role in Role:
        assert call(f"acme_{role}", "GET", "/api/v1/tenant").status_code == 200
