"""What directories send: their peculiarities are understood, and nothing that anybody sends is a 5xx."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.conf import settings

from identity.members.models import Membership
from tests.conftest import Call
from tests.test_domains import NAME
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_scim import ADDRESS, PATCH, SCIM, USER, USERS, assert_error, created, member_id, patched, scim, user
from tests.test_scim import ours as ours  # noqa: PLC0414 -- a fixture

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def found(call: Call, text: str, more: str = "") -> list[str]:
    response = scim(call, "GET", f"{USERS}?filter={quote(text)}{more}")
    assert response.status_code == 200, (text, response.content)
    return [row["userName"] for row in response.json()["Resources"]]


# --- Peculiarities ----------------------------------------------------------------------------------------------------


def test_entra_id(ours: Call) -> None:
    """Operations with capitals, booleans as texts, filters with a path behind them, another schema's attributes."""
    sent = user(
        schemas=[USER, ENTERPRISE],
        **{ENTERPRISE: {"department": "Sales", "manager": {"value": "x"}}},
        active="True",
        externalId="entra-1",
        preferredLanguage=None,
    )
    response = scim(ours, "POST", USERS, sent)
    assert response.status_code == 201, response.content
    pk = response.json()["id"]
    answer = patched(
        ours, pk,
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": f"new@{NAME}"},
        {"op": "Replace", "path": "name.familyName", "value": "King"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Ops"},
        {"op": "Add", "value": {"displayName": "A. King", f"{ENTERPRISE}:division": "x"}},
    )  # fmt: skip
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["active"], body["displayName"], body["name"]["familyName"]) == (False, "A. King", "King")
    assert [email["value"] for email in body["emails"]] == [f"new@{NAME}"]
    assert found(ours, f'emails[type eq "work"].value eq "NEW@{NAME}"') == [ADDRESS]
    assert found(ours, 'externalId eq "entra-1"') == [ADDRESS]
    assert patched(ours, pk, {"op": "Replace", "path": "active", "value": "True"}).json()["active"] is True


def test_okta(ours: Call) -> None:
    """It looks for the name, makes a user, replaces all of it, and deactivates without a path."""
    assert found(ours, f'userName eq "{ADDRESS}"', "&startIndex=1&count=100") == []
    body = created(ours)
    replaced = scim(ours, "PUT", f"{USERS}/{body['id']}", {**body, "displayName": "A. L.", "title": "Countess"})
    assert replaced.status_code == 200
    assert (replaced.json()["displayName"], replaced.json()["title"]) == ("A. L.", "Countess")
    left = {name: value for name, value in replaced.json().items() if name not in ("active", "title")}
    again = scim(ours, "PUT", f"{USERS}/{body['id']}", left).json()
    assert again["active"] is True, "what is not said of this changes nothing"
    assert "title" not in again
    assert patched(ours, body["id"], {"op": "replace", "value": {"active": False}}).json()["active"] is False


def test_a_change_is_made_whole_or_not_at_all(ours: Call) -> None:
    pk = created(ours)["id"]
    rename = {"op": "replace", "path": "displayName", "value": "Half"}
    for wrong in (
        {"op": "replace", "path": "id", "value": str(uuid4())},
        {"op": "replace", "path": "roles", "value": [{"value": "owner"}]},
        {"op": "add", "path": "groups", "value": [{"value": "x"}]},
        {"op": "remove", "path": "userName"},
        {"op": "remove"},
        {"op": "replace", "path": "active", "value": "perhaps"},
    ):
        response = patched(ours, pk, rename, wrong)
        assert response.status_code == 400, (wrong, response.content)
        assert response.json()["scimType"]
        assert scim(ours, "GET", f"{USERS}/{pk}").json()["displayName"] == "Ada Lovelace"
    assert Membership.objects.get(pk=pk).role == "member"


def test_what_is_not_supported_says_so_in_scims_own_words(call: Call) -> None:
    assert_error(scim(call, "POST", f"{SCIM}/Bulk", {}), 501)
    assert_error(scim(call, "GET", f"{SCIM}/Me"), 501)
    assert_error(scim(call, "POST", f"{SCIM}/.search", {}), 501)
    assert_error(scim(call, "GET", f"{SCIM}/Nothing"), 404)
    assert_error(scim(call, "GET", f"{USERS}/not-an-id"), 404)
    assert_error(scim(call, "GET", f"{SCIM}/Schemas/urn:x"), 404)
    assert_error(scim(call, "GET", f"{SCIM}/Schemas?filter=x"), 403)
    assert_error(scim(call, "DELETE", USERS), 405)
    as_json = scim(call, "GET", f"{SCIM}/ServiceProviderConfig", HTTP_ACCEPT="application/json")
    assert (as_json.status_code, as_json.headers["Content-Type"]) == (200, "application/json")


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_lists_come_in_pages(ours: Call) -> None:
    total = Membership.objects.filter(tenant__slug="acme").count()
    names = []
    for start in range(1, total + 1, 2):
        page = scim(ours, "GET", f"{USERS}?startIndex={start}&count=2").json()
        assert (page["totalResults"], page["startIndex"]) == (total, start)
        assert page["itemsPerPage"] == len(page["Resources"]) <= 2
        names += [row["userName"] for row in page["Resources"]]
    assert len(set(names)) == total
    assert scim(ours, "GET", f"{USERS}?startIndex=-5&count=1").json()["startIndex"] == 1
    assert scim(ours, "GET", f"{USERS}?count=0").json()["Resources"] == []
    assert scim(ours, "GET", f"{USERS}?count=-1").json()["itemsPerPage"] == 0
    assert scim(ours, "GET", f"{USERS}?startIndex=1000").json()["Resources"] == []
    rows = scim(ours, "GET", f"{USERS}?attributes=userName").json()["Resources"]
    assert {name for row in rows for name in row} == {"schemas", "id", "userName"}


def test_filters(ours: Call) -> None:
    created(ours, title="Countess")
    everybody = set(found(ours, "userName pr"))
    assert ADDRESS in everybody
    for text in (
        f'userName eq "{ADDRESS.upper()}"', 'title eq "countess"', 'title sw "COUNT"', 'name.familyName co "lace"',
        f'{USER}:userName eq "{ADDRESS}"', 'externalId eq "00u1"', f'emails.value eq "{ADDRESS}"', "title pr",
        f'emails eq "{ADDRESS}"', f'emails[primary eq true and type eq "work" and value eq "{ADDRESS}"]',
        'userName sw "ada" and active eq true', 'userName sw "ada" and not (active eq false)',
        'title eq "x" or (title eq "countess" and userName ew "marsh.test")', 'NOT (title eq null)',
    ):  # fmt: skip
        assert found(ours, text) == [ADDRESS], text
    for text in (
        'externalId eq "00U1"', 'active eq false', f'emails[type eq "home" and value eq "{ADDRESS}"]', 'title eq "x"',
        'meta.created lt "2001-01-01T00:00:00Z"', 'id eq "x"', 'groups eq "x"', f'groups.value eq "{uuid4()}"',
    ):  # fmt: skip
        assert found(ours, text) == [], text
    assert set(found(ours, 'title ne "countess"')) == everybody - {ADDRESS}
    assert set(found(ours, 'meta.lastModified gt "2001-01-01T00:00:00Z"')) == everybody


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "userName", "userName eq", 'userName eq "x', "userName eq x", "password pr", 'bogus eq "x"',
        'userName eq "x" or', "(userName pr", "userName pr)", 'userName xx "x"', "active gt true", "userName eq 5",
        'active eq "perhaps"', 'meta.created gt "soon"', 'emails co "x"', 'emails[value co "x"]', 'id co "x"',
        "user__password pr", 'user__email eq "x"', 'tenant.slug eq "globex"', 'scim__tenant_id eq "x"',
        "userName eq \"x\" OR 1=1 --", "userName eq 'x'", '"; DROP TABLE members_membership; --', "\x00",
        'userName eq "\x00"', 'userName eq "\\u0000"', 'userName eq "\\ud800"', "(" * 5000 + "userName pr" + ")" * 5000,
        "not (" * 400 + "userName pr" + ")" * 400, " or ".join(["userName pr"] * 5000), "userName[x pr]",
        'urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "x"', "members pr", "emails[", "eq eq eq",
        'groups[value eq 5]', 'groups eq 5', "💥 pr",
    ],
)  # fmt: skip
def test_a_filter_that_is_none(call: Call, text: str) -> None:
    """Injected SQL and names of columns among them. What is refused is refused in SCIM's words."""
    for path in (USERS, f"{SCIM}/Groups"):
        response = scim(call, "GET", f"{path}?filter={quote(text, safe='', errors='surrogatepass')}")
        if response.status_code == 200:  # of the other resource
            assert text == "members pr" or "Group:displayName" in text, text
            continue
        assert_error(response, 400, "invalidFilter")


def test_a_filters_value_is_never_a_pattern_or_sql(ours: Call) -> None:
    created(ours, title="100%")
    assert found(ours, 'title eq "100%"') == [ADDRESS]
    for text in ('title co "_"', 'title sw "%0"', "title eq \"' OR '1'='1\"", 'userName eq "%"', 'userName sw "_"'):
        assert found(ours, text) == [], text


@pytest.mark.parametrize("query", ["startIndex=x", "count=x", "count=1e3", "attributes=a&excludedAttributes=b"])
def test_a_bad_parameter(call: Call, query: str) -> None:
    assert_error(scim(call, "GET", f"{USERS}?{query}"), 400, "invalidValue")


# --- Bodies -----------------------------------------------------------------------------------------------------------

ENDPOINTS = [
    *(f"POST {SCIM}/{name}" for name in ("Users", "Groups", "Bulk", "Me", ".search")),
    *(f"{method} {SCIM}/{name}/{{}}" for name in ("Users", "Groups") for method in ("PUT", "PATCH")),
]
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS)


def send(call: Call, endpoint: str, body: Any, **extra: Any) -> Any:
    method, path = endpoint.split()
    if "Groups/" in path:
        group = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": str(uuid4())}
        path = path.format(scim(call, "POST", f"{SCIM}/Groups", group).json()["id"])
    return call(
        "acme_scim", method, path.format(member_id("viewer@acme.test")), body,
        content_type=extra.pop("content_type", "application/scim+json"), **extra,
    )  # fmt: skip


@every_endpoint
def test_an_unreadable_body(ours: Call, endpoint: str) -> None:
    is_read = not endpoint.endswith(("Bulk", "Me", ".search"))
    for raw in (
        b" ", b'{"userName": ', b"{} {}", b'{"userName": "\xff"}', b'{"userName": NaN}', b"[]", b'"x"', b"5", b"null",
        b'{"userName": "x", "userName": "y"}', b'{"userName": "\\ud800"}', b'{"userName": "\\u0000"}',
        b'{"Operations": [{"op": "add", "value": {"\\u0000": 1}}]}', b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40,
    ):  # fmt: skip
        response = send(ours, endpoint, raw)
        assert_error(response, 400, response.json()["scimType"]) if is_read else assert_error(response, 501)
    if is_read:
        huge = json.dumps({"userName": "x" * settings.MAX_BODY_BYTES}).encode()
        assert_error(send(ours, endpoint, huge), 413)
        assert_error(send(ours, endpoint, b"userName=x", content_type="application/x-www-form-urlencoded"), 415)


WRONG = [
    None, True, 5, [], [[]], {"a": 1}, "", "x" * 20_000, "\u202e", "' OR 1=1 --", [{"value": None}],
    [{"primary": True}] * 3,
]  # fmt: skip
FIELDS = ["schemas", "id", "userName", "name", "active", "emails", "roles", "isAdmin", "members", "Operations"]


def change(op: str, **operation: Any) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": [{"op": op, **operation}]}


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_that_does_not_fit(ours: Call, field: str) -> None:
    """Nothing that a field can hold makes a 5xx or an owner, and what is refused is refused in SCIM's words."""
    pk = created(ours)["id"]
    for value in WRONG:
        bodies = [
            ("POST", USERS, user(f"b@{NAME}", externalId="b") | {field: value}),
            ("PUT", f"{USERS}/{pk}", user() | {field: value}),
            ("POST", f"{SCIM}/Groups", {"schemas": [], "displayName": str(uuid4()), field: value}),
            ("PATCH", f"{USERS}/{pk}", change("replace", path=field, value=value)),
            ("PATCH", f"{USERS}/{pk}", change("remove", path=field, value=value)),
            ("PATCH", f"{USERS}/{pk}", change("add", value={field: value})),
        ]
        for method, path, body in bodies:
            response = scim(ours, method, path, body)
            assert response.status_code < 500, (method, path, body, response.content)
            if response.status_code >= 400:
                assert_error(response, response.status_code, response.json().get("scimType"))
    assert set(Membership.objects.filter(tenant__slug="acme", role="owner").values_list("user__email", flat=True)) == {
        "owner@acme.test"
    }
