"""Machine clients as their tenant's admins manage them: nobody gives more than they hold, secrets are shown once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.clients import services
from identity.clients.models import Client, ClientSecret
from tests.conftest import ACME, CAST, CLIENT_SCOPES, Call, client_token, sign_in

CLIENTS = "/api/v1/clients"
NEW = {"name": "Import", "scopes": ["projects:write", "tasks:read"]}


def create(call: Call, actor: str = "acme_admin", **more: Any) -> dict[str, Any]:
    response = call(actor, "POST", CLIENTS, NEW | more)
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def status_with(call: Call, token: dict[str, Any]) -> int:
    header = {"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}"}
    return int(call("nobody", "GET", "/api/v1/projects", **header).status_code)


def test_a_clients_life(call: Call) -> None:
    """Created, used at once, changed, seen by other admins, deleted; the secret is in the first answer and no other."""
    created = create(call)
    secret = created.pop("client_secret")
    path = f"{CLIENTS}/{created['id']}"
    assert (created["scopes"], created["is_active"], created["last_used_at"]) == (NEW["scopes"], True, None)
    assert call("acme_owner", "GET", path).json() == created
    assert secret not in str(call("acme_owner", "GET", CLIENTS).json())
    assert created["secrets"][0]["hint"] == secret[-4:]

    token = client_token(created["id"], secret)
    assert (token["tenant"], token["scope"]) == ("acme", "projects:write tasks:read")
    assert status_with(call, token) == 200
    seen = call("acme_owner", "GET", path).json()
    assert seen["last_used_at"]
    assert seen["secrets"][0]["last_used_at"]

    renamed = call("acme_owner", "PATCH", path, {"name": "Nightly import"}).json()
    assert renamed["name"] == "Nightly import"
    assert status_with(call, token) == 200, "a new name is no new right"
    assert call("acme_owner", "DELETE", path).status_code == 204
    assert status_with(call, token) == 401
    assert call("acme_owner", "GET", path).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["projects:read"]},
        {"is_active": False},
        {"expires_at": "2199-01-01T00:00:00Z"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_rights_holds_on_the_next_request(call: Call, change: dict[str, Any]) -> None:
    created = create(call)
    token = client_token(created["id"], created["client_secret"])
    assert call("acme_admin", "PATCH", f"{CLIENTS}/{created['id']}", change).status_code == 200
    assert status_with(call, token) == 401


def test_an_expired_client_is_refused_with_the_tokens_it_has(call: Call) -> None:
    created = create(call, expires_at="2199-01-01T00:00:00Z")
    token = client_token(created["id"], created["client_secret"])
    assert status_with(call, token) == 200
    Client.objects.filter(pk=created["id"]).update(expires_at=timezone.now() - timedelta(hours=1))
    assert status_with(call, token) == 401


def test_secrets_are_replaced_without_a_gap(call: Call) -> None:
    """Two are live at most; deleting one refuses all tokens, and the other one gets new ones."""
    created = create(call)
    path = f"{CLIENTS}/{created['id']}/secrets"
    second = call("acme_admin", "POST", path, {"expires_at": "2199-01-01T00:00:00Z"}).json()
    assert call("acme_admin", "POST", path, {}).json()["code"] == "too_many_secrets"
    old = client_token(created["id"], created["client_secret"])
    new = client_token(created["id"], second["client_secret"])
    assert (status_with(call, old), status_with(call, new)) == (200, 200)

    assert call("acme_admin", "DELETE", f"{path}/{created['secrets'][0]['id']}").status_code == 204
    assert (status_with(call, old), status_with(call, new)) == (401, 401)
    assert status_with(call, client_token(created["id"], second["client_secret"])) == 200
    assert services.authenticate(client_id=created["id"], secret=created["client_secret"]) is None
    ClientSecret.objects.filter(pk=second["id"]).update(expires_at=timezone.now())
    assert services.authenticate(client_id=created["id"], secret=second["client_secret"]) is None
    assert call("acme_admin", "POST", path, {}).status_code == 201, "an expired one makes room"


def test_secrets_are_kept_as_a_digest(call: Call) -> None:
    created = create(call)
    row = ClientSecret.objects.get(client_id=created["id"])
    assert created["client_secret"].startswith("ts_")
    assert len(created["client_secret"]) >= 43 + len("ts_"), "256 bits"
    assert len(bytes(row.digest)) == 32
    assert created["client_secret"].encode() not in bytes(row.digest)


def test_nobody_gives_what_they_do_not_hold(call: Call) -> None:
    """Not in creating, not in widening, not by a secret of a client that has more, not by switching one on."""
    created = create(call, scopes=["projects:read", "members:read"])
    path = f"{CLIENTS}/{created['id']}"
    narrow = sign_in(CAST["acme_owner"], scope="clients:write projects:read")
    auth = {"HTTP_AUTHORIZATION": f"Bearer {narrow['access_token']}", "host": ACME}

    def code(method: str, path: str, body: dict[str, Any]) -> Any:
        response = call("nobody", method, path, body, **auth)
        return response.json().get("code") if response.status_code >= 400 else response.status_code

    assert code("POST", CLIENTS, {"name": "x", "scopes": ["projects:write"]}) == "scope_not_held"
    assert code("POST", CLIENTS, {"name": "x", "scopes": ["projects:read"]}) == 201
    assert code("PATCH", path, {"scopes": ["projects:write", "members:read"]}) == "scope_not_held"
    assert code("POST", f"{path}/secrets", {}) == "scope_not_held"
    assert code("PATCH", path, {"is_active": False}) == 200
    assert code("PATCH", path, {"is_active": True}) == "scope_not_held"
    assert code("PATCH", path, {"scopes": ["members:read"]}) == 200, "taking away needs no more than the right to write"


@pytest.mark.parametrize(
    "scope", ["clients:write", "members:write", "profile:read", "platform:tenants:read", "no:such", "x", ""]
)
def test_some_scopes_are_no_machines(call: Call, scope: str) -> None:
    """Whoever asks: an owner included."""
    response = call("acme_owner", "POST", CLIENTS, {"name": "x", "scopes": ["projects:read", scope]})
    assert response.status_code == 400
    assert {error["pointer"].split("/")[1] for error in response.json()["errors"]} == {"scopes"}


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": "projects:read"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"name": ""},
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"created_by": "00000000-0000-4000-8000-000000000000"},
        {"client_secret": "mine"},
        {"is_active": True},
        {"version": 1},
        {"tenant": "globex"},
    ],
    ids=str,
)
def test_what_is_not_for_the_caller_to_say_is_refused(call: Call, body: dict[str, Any]) -> None:
    before = Client.objects.count()
    assert call("acme_owner", "POST", CLIENTS, NEW | body).status_code == 400
    assert Client.objects.count() == before


def test_another_tenants_client_is_nowhere(call: Call) -> None:
    """404, whatever is tried, and nothing happens to it."""
    created = create(call)
    path = f"{CLIENTS}/{created['id']}"
    assert created["id"] not in str(call("globex_owner", "GET", CLIENTS).json())
    for method, target, body in (
        ("GET", path, None),
        ("PATCH", path, {"name": "Mine"}),
        ("DELETE", path, None),
        ("POST", f"{path}/secrets", {}),
        ("DELETE", f"{path}/secrets/{created['secrets'][0]['id']}", None),
    ):
        assert call("globex_owner", method, target, body).status_code == 404, (method, target)
    assert call("acme_admin", "GET", path).json()["name"] == NEW["name"]


def test_one_clients_secret_is_not_reached_through_another(call: Call) -> None:
    first, second = create(call), create(call)
    path = f"{CLIENTS}/{first['id']}/secrets/{second['secrets'][0]['id']}"
    assert call("acme_admin", "DELETE", path).status_code == 404
    assert services.authenticate(client_id=second["id"], secret=second["client_secret"]) is not None


def test_a_client_goes_on_when_its_maker_leaves(call: Call, machine: tuple[str, str]) -> None:
    """It is the tenant's. Nor does it gain when roles do: its scopes are its own."""
    created = create(call, actor="acme_admin")
    members = call("acme_owner", "GET", "/api/v1/members?search=admin@acme.test").json()["results"]
    assert call("acme_owner", "DELETE", f"/api/v1/members/{members[0]['id']}").status_code == 204
    assert status_with(call, client_token(created["id"], created["client_secret"])) == 200
    assert client_token(*machine)["scope"].split() == CLIENT_SCOPES


def test_use_is_noted_at_most_once_a_minute(call: Call) -> None:
    """A busy client's row is not written on every call."""
    created = create(call)
    client_token(created["id"], created["client_secret"])
    noted = timezone.now() - timedelta(seconds=30)
    ClientSecret.objects.filter(client_id=created["id"]).update(last_used_at=noted)
    Client.objects.filter(pk=created["id"]).update(last_used_at=noted)
    client_token(created["id"], created["client_secret"])
    assert Client.objects.get(pk=created["id"]).last_used_at == noted
    ClientSecret.objects.filter(client_id=created["id"]).update(last_used_at=noted - timedelta(minutes=1))
    client_token(created["id"], created["client_secret"])
    assert Client.objects.get(pk=created["id"]).last_used_at > noted


def test_expired_secrets_are_pruned(call: Call) -> None:
    created = create(call)
    call("acme_admin", "POST", f"{CLIENTS}/{created['id']}/secrets", {})
    ClientSecret.objects.filter(pk=created["secrets"][0]["id"]).update(expires_at=timezone.now() - timedelta(days=31))
    assert services.prune_secrets(keep=timedelta(days=30), limit=10) == 1
    assert ClientSecret.objects.filter(client_id=created["id"]).count() == 1
