"""Tenants as platform staff find, see and change them: searching, details, first owners, hosts, members."""

import re
import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients.models import Client
from identity.invitations.models import Invitation
from identity.members import services as members
from identity.members.models import Membership
from permissions.roles import OperatorRole, Role
from tenants.audit.models import AuditEvent
from tenants.fleet.models import DriftedTenant
from tenants.lifecycle import pool
from tenants.registry.models import Domain, Tenant
from tenants.routing import directory
from tests.conftest import ACME, API_HOST, Actor, Call, sign_in
from tests.mailed import OTHER_PASSWORD, Post, events, login, mails_to, token_to
from tests.test_invitations import accept, mailed_token
from tests.test_members import acme, code, member
from tests.test_operator_lifecycle import TENANTS, as_role, last_action, path_to

NEW = "founder@people.test"


def slugs(call: Call, query: str) -> list[str]:
    response = call("operator", "GET", f"{TENANTS}?{query}")
    assert response.status_code == 200, response.content
    return sorted(row["slug"] for row in response.json()["results"])


def create(call: Call, slug: str = "initech", **more: Any) -> Any:
    response = call("operator", "POST", TENANTS, {"slug": slug, "name": slug.title(), **more})
    assert response.status_code == 201, response.content
    return response.json()


def detail(call: Call, tenant_id: Any = None) -> Any:
    response = call("operator", "GET", f"{TENANTS}/{tenant_id or acme().pk}")
    assert response.status_code == 200, response.content
    return response.json()


# --- Finding them -----------------------------------------------------------------------------------------------------


def test_tenants_are_found_by_what_one_knows_of_them(call: Call) -> None:
    call("operator", "POST", f"{path_to('acme')}/domains", {"domain": "portal.road-runner.example"})
    for search in ("acme", "CORPORATION", "road-runner", str(acme().pk), "owner@acme.test", "owner acme"):
        assert slugs(call, f"search={search}") == ["acme"], search
    assert slugs(call, "search=localhost") == ["acme", "globex"]
    for search in ("member@acme.test", str(uuid4()), "acme globex", "nobody"):  # a member is no owner
        assert slugs(call, f"search={search}") == [], search


def test_tenants_are_filtered(call: Call) -> None:
    Tenant.objects.filter(slug="acme").update(created_at="2020-01-15T00:00:00Z")
    assert slugs(call, "created_before=2020-02-01T00:00:00Z") == ["acme"]
    assert slugs(call, "created_after=2020-02-01T00:00:00Z&status=active") == ["globex"]
    DriftedTenant.objects.create(tenant_id=acme().pk, schema_name=acme().schema_name)
    assert (slugs(call, "drifted=true"), slugs(call, "drifted=false")) == (["acme"], ["globex"])
    assert slugs(call, "plan=standard") == ["acme", "globex"]
    for query in ("created_after=soon", "plan=gold", "search=%00", "search=" + "a+" * 11):
        assert call("operator", "GET", f"{TENANTS}?{query}").status_code == 400, query


# --- Details ----------------------------------------------------------------------------------------------------------


def test_a_tenant_looked_at_closely(call: Call) -> None:
    call("acme_owner", "POST", "/api/v1/invitations", {"email": NEW, "role": "viewer"})
    Membership.objects.filter(user__email="viewer@acme.test").update(status="suspended")
    body = detail(call)
    active = Membership.objects.filter(tenant=acme(), status="active").count()
    assert body["used"] == {"seats": active, "clients": Client.objects.filter(tenant=acme()).count()}
    assert (body["suspended_members"], body["pending_invitations"], body["invited_owner"]) == (1, 1, None)
    assert body["limits"] == {"seats": None, "requests_per_minute": None, "clients": None}
    assert [owner["email"] for owner in body["owners"]] == ["owner@acme.test"]
    assert body["size"] > 50_000
    assert (body["schema"]["behind"], body["schema"]["is_drifted"], body["schema"]["failure"]) == ([], False, "")
    assert len(body["schema"]["version"]) == 12
    assert body["last_active_at"] is not None  # the cast has signed in
    assert [row["ticket"] for row in body["supports"]] == ["T-1"]
    assert body["has_former_data"] is False
    empty = detail(call, create(call)["id"])
    assert (empty["owners"], empty["last_active_at"], empty["supports"]) == ([], None, [])
    assert empty["used"] == {"seats": 0, "clients": 0}
    assert call("operator", "GET", f"{TENANTS}/{uuid4()}").status_code == 404


def test_the_size_is_what_the_rows_take(call: Call) -> None:
    before = detail(call)["size"]
    for _ in range(40):
        made = call("acme_owner", "POST", "/api/v1/projects", {"name": "x", "description": secrets.token_hex(1000)})
        assert made.status_code == 201
    assert detail(call)["size"] - before >= 40 * 1000


def test_details_and_lists_take_as_many_queries_whatever_there_is(call: Call) -> None:
    def asked(path: str) -> int:
        with CaptureQueriesContext(connection) as queries, CaptureQueriesContext(connections["owner"]) as owners:
            assert call("operator", "GET", path).status_code == 200
        return len(queries) + len(owners)

    paths = [TENANTS, path_to("acme"), f"{path_to('acme')}/members", f"{path_to('acme')}/domains"]
    for path in paths:
        asked(path)  # what is looked up once
    before = [asked(path) for path in paths]
    for number in range(3):
        create(call, slug=f"more-{number}")
        user = accounts.create_user(email=f"owner-{number}@people.test", password=PASSWORD)
        members.add_member(tenant_id=acme().pk, user_id=user.pk, role=Role.OWNER)
        call("operator", "POST", f"{path_to('acme')}/domains", {"domain": f"host-{number}.example.com"})
    assert [asked(path) for path in paths] == before
    assert max(before) <= 20


# --- First owners -----------------------------------------------------------------------------------------------------


def test_an_owner_without_an_account_is_invited(call: Call, post: Post) -> None:
    tenant = create(call, owner_email=NEW.upper())
    assert not Membership.objects.filter(tenant_id=tenant["id"]).exists()
    assert detail(call, tenant["id"])["invited_owner"] == NEW
    token = mailed_token(NEW)
    assert mails_to(NEW) == ["You are invited to Initech"]
    assert accept(call, token).status_code == 201
    body = detail(call, tenant["id"])
    assert ([owner["email"] for owner in body["owners"]], body["invited_owner"]) == ([NEW], None)
    tokens = login(post, NEW, "lantern gravel teapot", host="initech.localhost").json()
    assert (tokens["tenant"], tokens["role"]) == ("initech", "owner")
    actions = AuditEvent.objects.filter(tenant_id=tenant["id"]).order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["tenant.created", "invitation.created", "member.added", "invitation.accepted"]


def test_an_unproved_account_is_invited_and_no_owner(call: Call) -> None:
    pool.refill(target=1)  # so that it is the transaction of this test
    accounts.create_user(email=NEW, password=PASSWORD, verified=False)
    tenant = create(call, owner_email=NEW)
    assert detail(call, tenant["id"])["invited_owner"] == NEW


def test_a_closed_account_owns_nothing(call: Call) -> None:
    pool.refill(target=1)
    user = accounts.create_user(email=NEW, password=PASSWORD)
    accounts.set_active(user_id=user.pk, is_active=False)
    refused = call("operator", "POST", TENANTS, {"slug": "initech", "name": "Initech", "owner_email": NEW})
    assert (refused.status_code, code(refused)) == (422, "unknown_owner")


def test_another_one_is_invited_in_the_first_ones_place_until_there_is_an_owner(call: Call) -> None:
    tenant = create(call, owner_email="typo@people.test")
    first = mailed_token("typo@people.test")
    path = f"{TENANTS}/{tenant['id']}/invite-owner"
    assert call("operator", "POST", path, {"owner_email": NEW}).status_code == 204
    assert code(accept(call, first)) == "invalid_invitation"
    second = mailed_token(NEW)
    call("operator", "POST", path, {"owner_email": NEW})  # sent once more
    assert code(accept(call, second)) == "invalid_invitation"
    assert accept(call, mailed_token(NEW)).status_code == 201
    refused = call("operator", "POST", path, {"owner_email": "another@people.test"})
    assert (refused.status_code, code(refused)) == (409, "has_owner")


def test_the_platforms_invitation_gives_nobody_a_place_beside_an_owner(call: Call) -> None:
    tenant = create(call, owner_email=NEW)
    token = mailed_token(NEW)
    members.add_member(tenant_id=tenant["id"], user_id=member("owner@acme.test").user_id, role=Role.OWNER)
    assert code(accept(call, token)) == "invalid_invitation"


def test_it_outlives_whoever_sent_it(call: Call) -> None:
    create(call, owner_email=NEW)
    token = mailed_token(NEW)
    as_role(OperatorRole.SUPPORT)
    assert accept(call, token).status_code == 201
    assert Invitation.objects.get(email=NEW).invited_by is None


# --- Names and hosts --------------------------------------------------------------------------------------------------


def test_another_slug_is_another_host_and_tokens_stay_good(call: Call) -> None:
    path = path_to("acme")
    assert call("acme_owner", "GET", "/api/v1/projects").status_code == 200
    renamed = call("operator", "PATCH", path, {"slug": "roadrunner", "name": "Road Runner"}).json()
    assert (renamed["slug"], renamed["name"], renamed["domains"]) == (
        "roadrunner",
        "Road Runner",
        ["roadrunner.localhost"],
    )
    assert call("acme_owner", "GET", "/api/v1/projects", host="roadrunner.localhost").status_code == 200
    assert call("acme_owner", "GET", "/api/v1/projects", host=API_HOST).status_code == 200
    directory.forget()  # as the commit does
    assert call("acme_owner", "GET", "/api/v1/projects", host=ACME).status_code == 404
    tenant_id = renamed["id"]
    shown = AuditEvent.objects.filter(tenant_id=tenant_id, action="tenant.slug_changed").get()
    assert shown.changes == {"slug": ["acme", "roadrunner"]}
    call("operator", "PATCH", path, {"slug": "roadrunner"})
    assert AuditEvent.objects.filter(tenant_id=tenant_id, action="tenant.slug_changed").count() == 1


@pytest.mark.parametrize(
    ("slug", "status", "expected"), [("globex", 409, "slug_taken"), ("www", 400, "validation_error")]
)
def test_a_slug_that_cannot_be_had(call: Call, slug: str, status: int, expected: str) -> None:
    refused = call("operator", "PATCH", path_to("acme"), {"slug": slug, "name": "Other"})
    assert (refused.status_code, code(refused)) == (status, expected)
    assert acme().name == "Acme Corporation"


def test_a_host_of_ones_own_leads_to_the_tenant_until_it_is_removed(call: Call) -> None:
    path = f"{path_to('acme')}/domains"
    made = call("operator", "POST", path, {"domain": "portal.acme.example"})
    assert (made.status_code, made.json()["is_primary"]) == (201, False)
    assert last_action(acme().pk) == "tenant.host_added"
    assert call("acme_owner", "GET", "/api/v1/projects", host="portal.acme.example").status_code == 200
    assert call("globex_owner", "GET", "/api/v1/projects", host="portal.acme.example").status_code == 403
    listed = call("operator", "GET", path).json()
    assert [host["domain"] for host in listed["hosts"]] == [ACME, "portal.acme.example"]
    assert call("operator", "DELETE", f"{path}/{made.json()['id']}").status_code == 204
    assert last_action(acme().pk) == "tenant.host_removed"
    directory.forget()
    assert call("acme_owner", "GET", "/api/v1/projects", host="portal.acme.example").status_code == 404


@pytest.mark.parametrize(
    ("host", "status", "expected"),
    [
        ("globex.localhost", 400, "validation_error"), ("other.localhost", 400, "validation_error"),
        ("localhost", 400, "validation_error"), ("Portal.example", 400, "validation_error"),
        ("10.0.0.1", 400, "validation_error"), ("taken.example", 409, "host_taken"),
    ],
)  # fmt: skip
def test_a_host_that_cannot_be_had(call: Call, host: str, status: int, expected: str) -> None:
    call("operator", "POST", f"{path_to('globex')}/domains", {"domain": "taken.example"})
    refused = call("operator", "POST", f"{path_to('acme')}/domains", {"domain": host})
    assert (refused.status_code, code(refused)) == (status, expected)


def test_the_host_of_the_slug_stays_and_others_hosts_are_out_of_reach(call: Call) -> None:
    own = Domain.objects.get(domain=ACME)
    refused = call("operator", "DELETE", f"{path_to('acme')}/domains/{own.pk}")
    assert (refused.status_code, code(refused)) == (409, "primary_host")
    assert call("operator", "DELETE", f"{path_to('globex')}/domains/{own.pk}").status_code == 404


def test_mail_domains_are_seen(call: Call) -> None:
    call("acme_admin", "POST", "/api/v1/domains", {"domain": "marsh.test"})
    (shown,) = call("operator", "GET", f"{path_to('acme')}/domains").json()["mail_domains"]
    assert (shown["domain"], shown["status"], shown["proved_at"]) == ("marsh.test", "pending", None)
    assert "challenge" not in str(shown)


# --- Members ----------------------------------------------------------------------------------------------------------


def path_of(email: str, action: str = "", slug: str = "acme") -> str:
    return f"{path_to(slug)}/members/{member(email).pk}/{action}"


def test_members_are_listed_filtered_and_searched(call: Call) -> None:
    path = f"{path_to('acme')}/members"

    def emails(query: str) -> list[str]:
        return sorted(row["email"] for row in call("operator", "GET", f"{path}?{query}").json()["results"])

    assert emails("role=owner") == ["owner@acme.test"]
    assert emails("search=viewer") == ["viewer@acme.test"]
    assert emails("status=suspended") == []
    page = call("operator", "GET", f"{path}?limit=2").json()
    assert (len(page["results"]), page["next"] is not None) == (2, True)
    assert "password" not in str(page)
    assert call("operator", "GET", f"{TENANTS}/{uuid4()}/members").status_code == 404


def test_a_member_is_signed_out_everywhere(call: Call) -> None:
    tokens = sign_in(Actor("both@people.test", ACME))
    auth = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": ACME}
    assert call("nobody", "GET", "/api/v1/projects", **auth).status_code == 200
    assert call("operator", "POST", path_of("both@people.test", "end-sessions")).status_code == 200
    assert code(call("nobody", "GET", "/api/v1/projects", **auth)) == "invalid_token"
    refreshed = call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, host=ACME)
    assert refreshed.status_code == 401
    assert last_action(acme().pk) == "member.sessions_ended"
    assert sign_in(Actor("both@people.test", ACME))["tenant"] == "acme"  # the password is as it was


def test_a_forced_reset_opens_nothing_until_it_is_done(call: Call, post: Post) -> None:
    email = "member@acme.test"
    tokens = sign_in(Actor(email, ACME))
    auth = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": ACME}
    response = call("operator", "POST", path_of(email, "reset-password"))
    assert response.status_code == 200
    token = token_to(email)
    assert token not in response.content.decode()
    assert mails_to(email) == ["Choose a new password for Tenantry"]
    assert code(call("nobody", "GET", "/api/v1/projects", **auth)) == "invalid_token"
    refused = login(post, email, PASSWORD)
    assert (refused.status_code, code(refused)) == (401, "invalid_credentials")
    assert not User.objects.get(email=email).has_usable_password()
    reset = post("auth/password/reset", {"token": token, "new_password": OTHER_PASSWORD})
    assert reset.status_code == 204, reset.content
    assert login(post, email, OTHER_PASSWORD).status_code == 200
    assert last_action(acme().pk) == "member.password_reset_forced"
    assert "account.reset_forced" in events()
    stored = " ".join(map(str, AuditEvent.objects.values_list("targets", "changes")))
    assert not re.search("tl_|" + re.escape(email), stored)


def test_who_lost_the_link_asks_for_another(call: Call, post: Post) -> None:
    email = "member@acme.test"
    call("operator", "POST", path_of(email, "reset-password"))
    first = token_to(email)
    post("auth/password/forgot", {"email": email})
    assert token_to(email) != first
    reset = post("auth/password/reset", {"token": token_to(email), "new_password": OTHER_PASSWORD})
    assert reset.status_code == 204
    assert code(post("auth/password/reset", {"token": first, "new_password": OTHER_PASSWORD})) == "invalid_link"


@pytest.mark.parametrize("action", ["end-sessions", "reset-password"])
def test_staff_are_an_admins_to_deal_with(call: Call, action: str) -> None:
    operator = User.objects.get(email=OPERATOR_EMAIL)
    members.add_member(tenant_id=acme().pk, user_id=operator.pk, role=Role.VIEWER)
    path = path_of(OPERATOR_EMAIL, action)
    auth = as_role(OperatorRole.OPERATOR)
    refused = call("nobody", "POST", path, **auth)
    assert (refused.status_code, code(refused)) == (403, "staff_member")
    assert operator.password == User.objects.get(pk=operator.pk).password
    assert code(call("nobody", "POST", path, **as_role(OperatorRole.SUPPORT))) == "insufficient_scope"
    assert call("nobody", "POST", path, **as_role(OperatorRole.ADMIN)).status_code == 200


@pytest.mark.parametrize("action", ["end-sessions", "reset-password"])
def test_a_member_is_found_in_their_own_tenant_alone(call: Call, action: str) -> None:
    assert call("operator", "POST", path_of("viewer@acme.test", action, slug="globex")).status_code == 404


def test_where_a_recent_sign_in_is_asked_for(call: Call, settings: Any) -> None:
    settings.STEP_UP_MAX_AGE = timedelta(0)
    path = path_to("acme")
    for method, url in (
        ("POST", path_of("viewer@acme.test", "end-sessions")),
        ("POST", path_of("viewer@acme.test", "reset-password")),
        ("PATCH", path),
        ("POST", f"{path}/restore/confirm"),
        ("POST", f"{path}/restore/undo"),
        ("DELETE", f"{path}/domains/{uuid4()}"),
        ("POST", "/operator/v1/fleet/retry"),
    ):
        assert code(call("operator", method, url)) == "insufficient_user_authentication", url
