"""Revocation holds on the very next request, on every process.

Two servers with one worker process each, under traffic on connections that stay open, and a change made through one
of them, in turns. No request that begins after the change was answered may succeed, on either of them.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings

from config.demo_data import PASSWORD
from examples.projects.models import Project
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.clients import services as clients
from identity.clients.models import ClientSecret
from identity.members import services as members
from identity.members.models import Membership
from identity.sessions.proof import BY_PASSWORD
from identity.sessions.services import Device
from identity.tokens import services as tokens
from identity.tokens.minting import IssuedTokens
from operators import services as operators
from operators import support
from operators.staff import put_on_staff
from operators.support import Case
from permissions.roles import OperatorRole, Role
from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.committed import provisioned
from tests.conftest import API_HOST, CAST, Call
from tests.conftest import sign_in as sign_in_over_api
from tests.serving import Answer, Traffic, ask_once, serving

TRIALS = int(os.environ.get("REVOCATION_TRIALS", "60"))
PROCESSES, REFUSALS_PER_PROCESS = 2, 3
OTHER_PASSWORD = "another rather long password"
METHODS, DEVICE = ["pwd"], Device(None, "")
_slugs = (f"revoked-{number}" for number in count())  # servers remember for a while to whom a host belonged


@pytest.fixture(scope="module")
def ports(django_db_setup: None) -> Iterator[list[int]]:
    """The ports of the server processes."""
    with serving(PROCESSES) as ports:
        yield ports


@dataclass(frozen=True)
class Stage:
    """A tenant of this test's own, its people, and the servers.

    Attributes:
        path: of one row in the tenant, which everybody here may read.
        admin: the membership of the victim, an admin.
        owner_token, staff_token: what the changes are made with.
    """

    tenant: Tenant
    path: str
    owner: User
    victim: User
    admin: Membership
    staff: User
    owner_token: str
    staff_token: str
    ports: list[int]

    @property
    def host(self) -> str:
        return f"{self.tenant.slug}.{settings.BASE_DOMAIN}"

    def sign_in(self) -> IssuedTokens:
        """A new session of the victim, as after a password was checked."""
        self.victim.refresh_from_db()
        return sign_in(self.victim, self.tenant)


def sign_in(user: User, tenant: Tenant) -> IssuedTokens:
    return tokens.sign_in(user=user, host_tenant=None, slug=tenant.slug, scope="", proof=BY_PASSWORD, device=DEVICE)


@pytest.fixture
def stage(unwrapped: None, ports: list[int]) -> Iterator[Stage]:
    emails = [f"{name}@revocation.test" for name in ("owner", "victim", "staff")]
    try:
        with provisioned(next(_slugs)) as tenant:
            owner, victim, staff = (accounts.create_user(email=email, password=PASSWORD) for email in emails)
            members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
            admin = members.add_member(tenant_id=tenant.pk, user_id=victim.pk, role=Role.ADMIN)
            put_on_staff(user_id=staff.pk, role=OperatorRole.ADMIN)
            with enter(tenant.pk):
                row = Project.objects.create(name="Of interest", created_by=owner.pk)
            yield Stage(
                tenant=tenant,
                path=f"/api/v1/projects/{row.pk}",
                owner=owner,
                victim=victim,
                admin=admin,
                staff=staff,
                owner_token=sign_in(owner, tenant).access_token,
                staff_token=operators.sign_in(user=staff, scope="", proof=BY_PASSWORD, device=DEVICE).access_token,
                ports=ports,
            )
    finally:
        User.objects.filter(email__in=emails).delete()


# --- What is revoked, and how -----------------------------------------------------------------------------------------


class Kind:
    """One kind of change, to be made again and again.

    Attributes:
        refusal: what a token gets after it.
        comes_back: undoing the change makes the token good again.
        threads: how many threads ask each process.
    """

    refusal: tuple[int, str] = (401, "invalid_token")
    comes_back = False
    threads = 2

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._ports = cycle(stage.ports)

    def token(self) -> str:
        """Return a token that is good now."""
        raise NotImplementedError

    def revoke(self) -> None:
        """Make the change; it is committed when this returns."""
        raise NotImplementedError

    def restore(self) -> None:
        """Undo it for the next trial."""

    def send(self, method: str, path: str, *, token: str | None = None, **more: Any) -> None:
        """Have one of the servers, in turns, do something."""
        answer = ask_once(next(self._ports), method, path, host=API_HOST, token=token, **more)
        assert answer.status in {200, 204}, answer

    def read(self, token: str) -> Answer:
        """Have one of the servers, in turns, show the row."""
        return ask_once(next(self._ports), "GET", self.stage.path, host=self.stage.host, token=token)

    def refuses(self, answer: Answer) -> bool:
        return answer.outcome == self.refusal


class OfMember(Kind):
    """The victim's session goes on from trial to trial, by its refresh token."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._issued = stage.sign_in()

    def token(self) -> str:
        self._issued = tokens.refresh(text=str(self._issued.refresh_token), host_tenant=None)
        return self._issued.access_token


class Demotion(OfMember):
    def revoke(self) -> None:
        self._give(Role.VIEWER)

    def restore(self) -> None:
        self._give(Role.ADMIN)

    def _give(self, role: Role) -> None:
        path = f"/api/v1/members/{self.stage.admin.pk}"
        self.send("PATCH", path, token=self.stage.owner_token, body={"role": role})


class Removal(OfMember):
    def revoke(self) -> None:
        member = Membership.objects.get(tenant=self.stage.tenant, user=self.stage.victim)
        self.send("DELETE", f"/api/v1/members/{member.pk}", token=self.stage.owner_token)

    def restore(self) -> None:
        members.add_member(tenant_id=self.stage.tenant.pk, user_id=self.stage.victim.pk, role=Role.ADMIN)


class Suspension(OfMember):
    refusal = (403, "tenant_suspended")
    comes_back = True

    def revoke(self) -> None:
        self._do("suspend")

    def restore(self) -> None:
        self._do("resume")

    def _do(self, what: str) -> None:
        self.send("POST", f"/operator/v1/tenants/{self.stage.tenant.pk}/{what}", token=self.stage.staff_token)


class Logout(Kind):
    def token(self) -> str:
        self._issued = self.stage.sign_in()
        return self._issued.access_token

    def revoke(self) -> None:
        self.send("POST", "/api/v1/auth/logout", body={}, token=self._issued.access_token)


class PasswordChange(Kind):
    """From another session of the same person, which goes on."""

    threads = 1  # hashing wants the processor as well

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._here = stage.sign_in().access_token
        self._passwords = PASSWORD, OTHER_PASSWORD

    def token(self) -> str:
        return self.stage.sign_in().access_token

    def revoke(self) -> None:
        current, new = self._passwords
        body = {"current_password": current, "new_password": new}
        self.send("POST", "/api/v1/auth/password/change", body=body, token=self._here)
        self._passwords = new, current


class ClientRevocation(Kind):
    """A machine client loses its secret, or is switched off, or has its tokens revoked: in turns."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._held = frozenset({"projects:read"})
        self._client, self._secret = clients.create_client(
            tenant_id=stage.tenant.pk,
            name="Report",
            scope=self._held,
            by=stage.owner.pk,
            held=self._held,
            expires_at=None,
        )
        self._ways = cycle([self._delete_secret, self._switch_off, self._revoke_token])

    def token(self) -> str:
        client = clients.authenticate(client_id=self._client.pk, secret=self._secret)
        assert client is not None
        self._token = tokens.client_credentials(client=client, scope="").access_token
        return self._token

    def revoke(self) -> None:
        next(self._ways)()

    def restore(self) -> None:
        which = {"tenant_id": self.stage.tenant.pk, "client_id": self._client.pk}
        clients.change_client(**which, held=self._held, changes={"is_active": True})
        if not ClientSecret.objects.filter(client=self._client).exists():
            _, self._secret = clients.add_secret(**which, held=self._held, expires_at=None)

    def _delete_secret(self) -> None:
        secret = ClientSecret.objects.get(client=self._client)
        path = f"/api/v1/clients/{self._client.pk}/secrets/{secret.pk}"
        self.send("DELETE", path, token=self.stage.owner_token)

    def _switch_off(self) -> None:
        path = f"/api/v1/clients/{self._client.pk}"
        self.send("PATCH", path, token=self.stage.owner_token, body={"is_active": False})

    def _revoke_token(self) -> None:
        form = {"token": self._token, "client_id": str(self._client.pk), "client_secret": self._secret}
        body = urlencode(form).encode()
        self.send("POST", "/oauth/revoke", body=body, content_type="application/x-www-form-urlencoded")


class SupportEnd(Kind):
    """By staff, by an owner of the tenant, and by the policy, in turns."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._ways = cycle([self._by_staff, self._by_owner, self._by_policy])

    def token(self) -> str:
        self._access, issued = support.ask(
            user_id=self.stage.staff.pk,
            tenant_id=self.stage.tenant.pk,
            case=Case(reason="A question", ticket="T-1"),
            methods=METHODS,
            device=DEVICE,
        )
        assert issued is not None
        return issued.access_token

    def revoke(self) -> None:
        next(self._ways)()

    def restore(self) -> None:
        self._set_policy("read")

    def _by_staff(self) -> None:
        self.send("DELETE", f"/operator/v1/support-access/{self._access.pk}", token=self.stage.staff_token)

    def _by_owner(self) -> None:
        self.send("POST", f"/api/v1/support-access/{self._access.pk}/end", token=self.stage.owner_token)

    def _by_policy(self) -> None:
        self._set_policy("never")

    def _set_policy(self, policy: str) -> None:
        self.send("PUT", "/api/v1/support-access/policy", token=self.stage.owner_token, body={"policy": policy})


KINDS: list[type[Kind]] = [Demotion, Removal, Suspension, Logout, PasswordChange, ClientRevocation, SupportEnd]


# --- The trials -------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What all trials of a kind came to.

    Attributes:
        before: requests that succeeded before the change; `fewest` is that of the trial with the fewest.
        after: requests that began after it.
        violations: those of them that got anything but the refusal.
        broken: requests that got neither the row nor the refusal, whenever they began.
        revived: what tokens got once the change was undone, if it was not what it should be.
    """

    trials: int = 0
    before: int = 0
    fewest: int = 10**9
    after: int = 0
    violations: list[Answer] = field(default_factory=list)
    broken: list[Answer] = field(default_factory=list)
    revived: list[Answer] = field(default_factory=list)


def trial(kind: Kind, traffic: Traffic, tally: Tally) -> None:
    """Revoke a good token under traffic."""
    token = kind.token()
    traffic.start(token)
    traffic.wait(1, lambda answer: answer.status == 200)
    kind.revoke()
    changed = time.monotonic()

    def is_late(answer: Answer) -> bool:
        return answer.began > changed

    answers = traffic.stop(REFUSALS_PER_PROCESS, is_late)
    kind.restore()
    again = kind.read(token)

    good = sum(answer.status == 200 and not is_late(answer) for answer in answers)
    late = [answer for answer in answers if is_late(answer)]
    tally.trials += 1
    tally.before += good
    tally.fewest = min(tally.fewest, good)
    tally.after += len(late)
    tally.violations += [answer for answer in late if not kind.refuses(answer)]
    tally.broken += [answer for answer in answers if answer.status != 200 and not kind.refuses(answer)]
    tally.revived += [] if (again.status == 200 if kind.comes_back else kind.refuses(again)) else [again]


@pytest.mark.parametrize("of", KINDS)
def test_nothing_that_begins_after_a_revocation_succeeds(
    stage: Stage, of: type[Kind], request: pytest.FixtureRequest
) -> None:
    """In every trial the token worked on each process a moment before."""
    kind, tally, began = of(stage), Tally(), time.monotonic()
    with Traffic(stage.ports, threads_per_port=kind.threads, host=stage.host, path=stage.path) as traffic:
        for _ in range(TRIALS):
            trial(kind, traffic, tally)
    request.node.user_properties.append(("tally", f"{tally} in {time.monotonic() - began:.1f} s"))
    for name in ("violations", "broken", "revived"):
        answers = getattr(tally, name)
        assert not answers, f"{len(answers)} {name} beside {tally.after} refusals, the first of them {answers[0]}"
    assert tally.trials == TRIALS
    assert tally.fewest >= PROCESSES
    assert tally.after >= TRIALS * PROCESSES * REFUSALS_PER_PROCESS


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
def test_who_is_removed_and_added_again_needs_new_tokens(call: Call, role: Role) -> None:
    """Whatever they are now: a membership's version does not begin where the last one's was."""
    old = sign_in_over_api(CAST["acme_admin"])
    member = Membership.objects.get(user__email="admin@acme.test", tenant__slug="acme")
    assert call("acme_owner", "DELETE", f"/api/v1/members/{member.pk}").status_code == 204
    members.add_member(tenant_id=member.tenant_id, user_id=member.user_id, role=role)

    def me(token: str) -> Any:
        return call("nobody", "GET", "/api/v1/me", HTTP_AUTHORIZATION=f"Bearer {token}")

    refused = me(old["access_token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    new = call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": old["refresh_token"]}).json()
    assert me(new["access_token"]).json()["role"] == role
    assert me(old["access_token"]).status_code == 401
