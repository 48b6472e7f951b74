"""The whole life of a tenant, through the operator API alone: from its creation to its deletion, and back again.

Everything is committed, and what takes long is done by a worker as in production. What the tenant's owner does, they do
over the tenant's API.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from rest_framework.test import APIClient

from config.demo_data import OPERATOR_EMAIL, PASSWORD, TENANTS
from identity.accounts.models import User
from jobs import schedule
from jobs.worker import Worker
from permissions import limits
from tests.committed import remove_all_but, remove_jobs
from tests.conftest import API_HOST
from tests.test_invitations import mailed_token

OWNER, COLLEAGUE = "owner@life.test", "colleague@life.test"
OWNER_PASSWORD = "lantern gravel teapot"
HOST, OWN_HOST = "stark.localhost", "portal.stark.example"
PROJECTS = "/api/v1/projects"


class Caller:
    """Somebody at one host, with a token of theirs or none."""

    def __init__(self, host: str = API_HOST, token: str = "") -> None:
        self._client = APIClient()
        self._headers = {"HTTP_HOST": host} | ({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {})

    def at(self, host: str) -> "Caller":
        return Caller(host, self._headers["HTTP_AUTHORIZATION"].removeprefix("Bearer "))

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Ask, see that the answer has this status, and return what it says."""
        response = self._send(method, path, body)
        if response.streaming:
            return b"".join(response.streaming_content)
        assert response.status_code == status, (method, path, response.status_code, response.content)
        return response.json() if response.content else None

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Ask, and return the status and the code of the refusal."""
        response = self._send(method, path, body)
        return response.status_code, response.json()["code"]

    def _send(self, method: str, path: str, body: Any) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        return self._client.generic(method, path, data, "application/json", **self._headers)


class Staff(Caller):
    """A member of the platform's staff, who waits for what a worker does."""

    def have_done(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for a job, let a worker do it, and return what came of it."""
        job = self.ask(method, path, body, status=202)
        work()
        done = self.ask("GET", f"/operator/v1/jobs/{job['id']}")
        assert done["state"] == "succeeded", done
        return {"id": job["id"], **done["result"]}


def work() -> None:
    Worker(until_idle=True, keeps_schedule=False).run()


def signed_in(path: str, email: str, password: str, host: str = API_HOST) -> str:
    tokens = Caller(host).ask("POST", path, {"email": email, "password": password})
    return str(tokens["access_token"])


def as_owner(host: str = HOST) -> Caller:
    return Caller(host, signed_in("/api/v1/auth/login", OWNER, OWNER_PASSWORD, host))


def names(caller: Caller) -> list[str]:
    return sorted(row["name"] for row in caller.ask("GET", PROJECTS)["results"])


@pytest.fixture
def staff(unwrapped: None, settings: Any, tmp_path: Path) -> Iterator[Staff]:
    settings.EXPORT_DIR = tmp_path / "exports"
    settings.PLANS = {"standard": {}, "team": {"seats": 1, "requests_per_minute": 1000}}
    remove_jobs()
    yield Staff(API_HOST, signed_in("/operator/v1/auth/login", OPERATOR_EMAIL, PASSWORD))
    remove_all_but(TENANTS)
    User.objects.filter(email__in=[OWNER, COLLEAGUE]).delete()


def test_the_whole_life_of_a_tenant(staff: Staff, settings: Any) -> None:
    body = {"slug": "stark", "name": "Stark Industries", "owner_email": OWNER}
    tenant = staff.ask("POST", "/operator/v1/tenants", body, status=201)
    path = f"/operator/v1/tenants/{tenant['id']}"
    owner = its_owner_comes(staff, path)
    made = [owner.ask("POST", PROJECTS, {"name": name}, status=201) for name in ("Bridge", "Tower")]
    assert names(owner) == ["Bridge", "Tower"]

    its_limits_are_met(staff, owner, path, settings)
    staff.ask("POST", f"{path}/domains", {"domain": OWN_HOST}, status=201)
    assert names(owner.at(OWN_HOST)) == ["Bridge", "Tower"]
    it_is_closed_and_opened(staff, owner, path, "suspend", "resume", "tenant_suspended")

    export = staff.have_done("POST", f"{path}/export")["export"]
    file = settings.EXPORT_DIR.parent / "downloaded.zip"
    file.write_bytes(staff.ask("GET", f"/operator/v1/exports/{export}"))
    with ZipFile(file) as archive:
        assert "manifest.json" in archive.namelist()
    it_is_copied(staff, path)
    owner.ask("DELETE", f"{PROJECTS}/{made[0]['id']}", status=204)
    owner.ask("POST", PROJECTS, {"name": "Reactor"}, status=201)
    its_data_is_replaced_and_brought_back(staff, owner, path, export)
    it_is_closed_and_opened(staff, owner, path, "archive", "restore", "tenant_archived")

    trail = owner.ask("GET", "/api/v1/audit-events/verify")
    assert trail["is_whole"], trail
    last = staff.have_done("POST", f"{path}/export")["export"]
    it_is_deleted(staff, owner, path, settings)

    # Restored from its last export under another slug, it is there again: same rows, same people, same trail.
    restored = staff.have_done("POST", f"/operator/v1/exports/{last}/restore", {"slug": "stark-again"})["tenant"]
    assert restored == tenant["id"]  # which was free
    again = as_owner("stark-again.localhost")
    assert names(again) == ["Reactor", "Tower"]
    assert made[1]["id"] in {row["id"] for row in again.ask("GET", PROJECTS)["results"]}
    assert again.at(OWN_HOST).ask("GET", "/api/v1/tenant")["limits"]["seats"] == 2
    assert {row["email"] for row in staff.ask("GET", f"{path}/members")["results"]} == {OWNER, COLLEAGUE}
    after = again.ask("GET", "/api/v1/audit-events/verify")
    assert after["is_whole"], after
    assert after["events"] > trail["events"]
    assert staff.ask("GET", "/operator/v1/audit-events/verify")["is_whole"]


def its_owner_comes(staff: Staff, path: str) -> Caller:
    """The invited owner accepts and signs in."""
    accepted = {"token": mailed_token(OWNER), "password": OWNER_PASSWORD, "name": "Ada"}
    Caller().ask("POST", "/api/v1/invitations/accept", accepted, status=201)
    assert [row["email"] for row in staff.ask("GET", path)["owners"]] == [OWNER]
    return as_owner()


def its_limits_are_met(staff: Staff, owner: Caller, path: str, settings: Any) -> None:
    staff.ask("PATCH", f"{path}/limits", {"plan": "team"})
    owner.ask("POST", "/api/v1/invitations", {"email": COLLEAGUE, "role": "viewer"}, status=201)
    joining = ("POST", "/api/v1/invitations/accept", {"token": mailed_token(COLLEAGUE), "password": OWNER_PASSWORD})
    assert Caller().refused(*joining) == (409, "seat_limit")
    staff.ask("PATCH", f"{path}/limits", {"seats": 2})
    Caller().ask(*joining, status=201)
    assert owner.ask("GET", "/api/v1/tenant")["limits"]["seats"] == 2
    settings.THROTTLES = True
    staff.ask("PATCH", f"{path}/limits", {"requests_per_minute": 1})
    limits.forget()
    owner.ask("GET", PROJECTS)
    assert owner.refused("GET", PROJECTS) == (429, "throttled")
    settings.THROTTLES = False
    staff.ask("PATCH", f"{path}/limits", {"requests_per_minute": None})
    limits.forget()


def it_is_closed_and_opened(staff: Staff, owner: Caller, path: str, closing: str, opening: str, code: str) -> None:
    before = names(owner)
    staff.ask("POST", f"{path}/{closing}")
    assert owner.refused("GET", PROJECTS) == (403, code)
    staff.ask("POST", f"{path}/{opening}")
    assert names(owner) == before


def it_is_copied(staff: Staff, path: str) -> None:
    """The copy is theirs who asked for it."""
    copy = staff.have_done("POST", f"{path}/clone", {"slug": "stark-trial", "name": "Trial"})["tenant"]
    trial = "stark-trial.localhost"
    operator = Caller(trial, signed_in("/api/v1/auth/login", OPERATOR_EMAIL, PASSWORD, trial))
    assert names(operator) == ["Bridge", "Tower"]
    assert staff.ask("GET", f"/operator/v1/tenants/{copy}")["limits"]["seats"] == 2


def its_data_is_replaced_and_brought_back(staff: Staff, owner: Caller, path: str, export: str) -> None:
    staff.have_done("POST", f"/operator/v1/exports/{export}/restore", {})
    assert names(owner) == ["Bridge", "Tower"]
    assert staff.ask("GET", path)["has_former_data"] is True
    staff.have_done("POST", f"{path}/restore/undo")
    assert names(owner) == ["Reactor", "Tower"]
    staff.have_done("POST", f"{path}/restore/confirm")
    assert staff.ask("GET", path)["has_former_data"] is False
    assert staff.refused("POST", f"{path}/restore/undo") == (404, "no_former_data")
    assert names(owner) == ["Reactor", "Tower"]


def it_is_deleted(staff: Staff, owner: Caller, path: str, settings: Any) -> None:
    """When its time is over, there is nothing of it."""
    settings.TENANT_DELETION_GRACE = timedelta(0)
    assert staff.ask("DELETE", path, status=202)["delete_at"] is not None
    schedule.look("deletions")
    work()
    assert staff.refused("GET", path)[0] == 404
    assert Caller(HOST).refused("GET", PROJECTS)[0] == 404
    assert owner.at(API_HOST).refused("GET", PROJECTS) == (401, "invalid_token")
