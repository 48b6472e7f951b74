"""Proofs in time and at once: they lapse, are renewed, pass to another tenant, and no two hold at the same time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.domains import services
from identity.domains.errors import DomainTaken
from identity.domains.models import DomainClaim
from identity.members import services as members
from permissions.roles import Role
from tenants.audit.models import AuditEvent
from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.committed import provisioned, urls
from tests.conftest import Actor, Call, sign_in
from tests.dns_server import Zone
from tests.test_domains import DOMAINS, NAME, RECORD, add, age, prove, proved, see
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_members import acme, code, events
from tests.test_races import at_once, post

ROOT = Path(__file__).parents[1]
ROUNDS = 20


def check(*arguments: str) -> dict[str, int]:
    """Run the command for cron."""
    out = StringIO()
    call_command("check_domains", "--json", *arguments, stdout=out)
    result: dict[str, int] = json.loads(out.getvalue())
    return {outcome: count for outcome, count in result.items() if count}


# --- Over in time -----------------------------------------------------------------------------------------------------


def test_a_claim_that_is_not_proved_in_time_is_added_again(call: Call, zone: Zone) -> None:
    claim = add(call)
    zone.publish(claim["record"])
    age(claim, days=7)
    assert see(call, claim)["status"] == "lapsed"
    assert code(prove(call, claim)) == "domain_claim_lapsed"
    assert zone.asked == []
    again = add(call)
    assert again["record"]["value"] != claim["record"]["value"]
    assert code(prove(call, again)) == "domain_not_proved", "the former record is no good"
    assert DomainClaim.objects.count() == 1


def test_a_proof_lapses_and_may_be_proved_again(call: Call, zone: Zone) -> None:
    claim = proved(call, zone)
    age(claim, days=90)
    assert see(call, claim)["status"] == "lapsed"
    again = prove(call, claim).json()
    assert again["status"] == "proved"
    assert again["record"] == claim["record"]
    assert again["proved_at"] > claim["proved_at"], "it has not held without a gap"
    age(claim, days=30)
    since = see(call, claim)["proved_at"]
    assert prove(call, claim).json()["proved_at"] == since, "this time it has"
    assert see(call, claim)["expires_at"] > again["expires_at"]


def test_a_proof_goes_on_to_hold_without_its_record(call: Call, zone: Zone) -> None:
    claim = proved(call, zone)
    zone.texts.clear()
    assert code(prove(call, claim)) == "domain_not_proved"
    assert see(call, claim)["status"] == "proved"
    assert see(call, claim)["expires_at"] == claim["expires_at"]


# --- One tenant for each domain ---------------------------------------------------------------------------------------


def test_a_domain_is_one_tenants_until_its_proof_lapses(call: Call, zone: Zone) -> None:
    ours, theirs = proved(call, zone), add(call, actor="globex_owner")
    zone.publish(theirs["record"])
    refused = prove(call, theirs, "globex_owner")
    assert (refused.status_code, code(refused)) == (409, "domain_taken")
    age(ours, days=90)  # nobody has noted it
    assert prove(call, theirs, "globex_owner").json()["status"] == "proved"
    assert code(prove(call, ours)) == "domain_taken", "its record is still there"
    assert see(call, ours)["status"] == "lapsed"
    assert call("globex_owner", "DELETE", f"{DOMAINS}/{theirs['id']}").status_code == 204
    assert prove(call, ours).json()["status"] == "proved"


def test_postgres_lets_no_two_proofs_hold_at_once(db: None) -> None:
    now, globex = timezone.now(), Tenant.objects.get(slug="globex")

    def holds(tenant: Tenant, since: int, until: int, domain: str = NAME) -> DomainClaim:
        dates = {"proved_at": now + timedelta(days=since), "expires_at": now + timedelta(days=until)}
        return DomainClaim.objects.create(tenant=tenant, domain=domain, **dates)

    ours = holds(acme(), 0, 90)
    for since, until in ((0, 90), (10, 20), (-10, 1), (89, 100), (-10, 100)):
        with pytest.raises(IntegrityError, match="domains_one_proof"), transaction.atomic():
            holds(globex, since, until)
    theirs = holds(globex, 90, 180)
    holds(globex, 0, 90, domain=f"www.{NAME}")
    ours.expires_at += timedelta(seconds=1)
    with pytest.raises(IntegrityError, match="domains_one_proof"), transaction.atomic():
        ours.save()
    theirs.delete()
    ours.save()
    DomainClaim.objects.create(tenant=globex, domain=NAME, expires_at=now + timedelta(days=7))  # not proved


@pytest.fixture
def rivals(unwrapped: None) -> Iterator[list[Tenant]]:
    with provisioned("rival-one") as one, provisioned("rival-two") as two:
        yield [one, two]
    User.objects.filter(email__endswith="@rivals.test").delete()


def claim_of(tenant: Tenant, domain: str = NAME, **more: Any) -> DomainClaim:
    expires_at = timezone.now() + timedelta(days=7)
    return DomainClaim.objects.create(tenant=tenant, domain=domain, **{"expires_at": expires_at, **more})


def publish(zone: Zone, *claims: DomainClaim) -> None:
    for claim in claims:
        zone.publish({"type": "TXT", "name": claim.record.name, "value": claim.record.value})


def try_to_prove(claim: DomainClaim) -> str:
    try:
        return services.prove(tenant_id=claim.tenant_id, claim_id=claim.pk).status.value
    except DomainTaken:
        return "taken"


def test_of_two_tenants_that_prove_at_once_one_wins(rivals: list[Tenant], zone: Zone) -> None:
    for number in range(ROUNDS):
        claims = [claim_of(tenant, f"{number}.test") for tenant in rivals]
        publish(zone, *claims)
        outcomes = at_once([lambda claim=claim: try_to_prove(claim) for claim in claims * 2])
        assert sorted(outcomes) == ["proved", "proved", "taken", "taken"], number
        assert outcomes[:2] == outcomes[2:]
        assert DomainClaim.objects.filter(domain=f"{number}.test", proved_at__isnull=False).count() == 1


def test_the_loser_is_told_over_the_api(rivals: list[Tenant], zone: Zone) -> None:
    """Real requests, each with a connection that it gives back while the DNS is asked."""
    emails = [f"owner-{number}@rivals.test" for number in range(2)]
    access = []
    for tenant, email in zip(rivals, emails, strict=True):
        owner = accounts.create_user(email=email, password=PASSWORD)
        members.add_member(tenant_id=tenant.pk, user_id=owner.pk, role=Role.OWNER)
        access.append(sign_in(Actor(email, f"{tenant.slug}.localhost"))["access_token"])

    def ask(number: int, *path: str, **body: str) -> Any:
        return post("/".join([DOMAINS, *path]), body, host=f"{rivals[number].slug}.localhost", token=access[number])

    claims = [ask(number, domain=NAME).json() for number in range(2)]
    for claim in claims:
        zone.publish(claim["record"])
    answers = at_once([lambda number=number: ask(number, claims[number]["id"], "prove") for number in range(2)])
    codes = sorted("" if answer.status_code == 200 else answer.json()["code"] for answer in answers)
    assert codes == ["", "domain_taken"]


def test_the_second_one_waits_before_it_writes(rivals: list[Tenant], zone: Zone) -> None:
    """Else both could have written, and wait for each other: two or three of a thousand pairs did."""
    first, second = (claim_of(tenant) for tenant in rivals)
    publish(zone, first, second)
    waits = "SELECT locktype FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    with ThreadPoolExecutor(1) as pool:
        with enter(first.tenant_id):
            services._keep_proof(first.tenant_id, first.pk)
            other = pool.submit(lambda: (try_to_prove(second), connections.close_all()))
            deadline, found = time.monotonic() + 10, []
            while not found and time.monotonic() < deadline:
                with connection.cursor() as cursor:
                    cursor.execute(waits)
                    found = cursor.fetchall()
        assert found == [("advisory",)]
        assert other.result(10)[0] == "taken"


def test_a_lapsed_domain_that_two_want_at_once_has_one_winner(rivals: list[Tenant], zone: Zone) -> None:
    """The former tenant, whose command for cron tries again, and the next one."""
    past = timezone.now() - timedelta(days=1)
    for number in range(ROUNDS):
        former = claim_of(
            rivals[0], f"{number}.test", proved_at=past - timedelta(days=90), expires_at=past, auto_join=True
        )
        wanted = claim_of(rivals[1], f"{number}.test")
        publish(zone, former, wanted)
        keys = [{"tenant_id": claim.tenant_id, "claim_id": claim.pk} for claim in (former, wanted)]
        outcomes = at_once([lambda key=key: services.look_after(**key).value for key in keys])
        assert outcomes in (["proved", "missing"], ["lapsed", "proved"]), number


def test_while_the_dns_is_asked_nothing_is_held(rivals: list[Tenant], zone: Zone) -> None:
    """No row is locked, no transaction is open, and the connection is another request's to use."""
    claim = claim_of(rivals[0])
    zone.silent.add(RECORD)
    pool: Any = connection.pool
    seen: dict[str, Any] = {}

    def look() -> None:
        while not zone.asked:
            time.sleep(0.01)
        with transaction.atomic():
            locked = DomainClaim.objects.select_for_update(nowait=True).filter(pk=claim.pk)
            seen["changed"] = locked.update(auto_join=True)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = session_user"
                    " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
                )
                seen["transactions"] = cursor.fetchone()
            statistics = pool.get_stats()
            seen["used"] = statistics["pool_size"] - statistics["pool_available"]

    connection.close()
    outcomes = at_once(
        [lambda: services.look_after(tenant_id=rivals[0].pk, claim_id=claim.pk).value, lambda: look() or "looked"]
    )
    assert outcomes == ["missing", "looked"]
    assert seen == {"changed": 1, "transactions": (0,), "used": 1}
    claim.refresh_from_db()
    assert (claim.auto_join, claim.checked_at is None) == (True, False)


# --- manage.py check_domains ------------------------------------------------------------------------------------------


def test_the_command_renews_what_lapses_soon_and_notes_what_has_lapsed(call: Call, zone: Zone) -> None:
    soon, later, gone, over, never = (
        proved(call, zone, "soon.test"),
        proved(call, zone, "later.test"),
        proved(call, zone, "gone.test"),
        proved(call, zone, "over.test"),
        add(call, "never.test"),
    )
    add(call, "pending.test")
    for claim, days in ((soon, 77), (later, 75), (gone, 80), (over, 91), (never, 8)):
        age(claim, days=days)
    for claim in (gone, over):
        del zone.texts[claim["record"]["name"]]
    before, asked = events(), len(zone.asked)
    assert check() == {"proved": 1, "missing": 1, "lapsed": 2}
    assert sorted(events()[len(before) :]) == ["domain.lapsed", "domain.lapsed", "domain.proved"]
    assert AuditEvent.objects.filter(action="domain.lapsed").latest("sequence").actor_kind == "system"
    assert {name for _, name in zone.asked[asked:]} == {claim["record"]["name"] for claim in (soon, gone, over)}
    assert see(call, soon)["expires_at"] > later["expires_at"]
    assert see(call, gone)["status"] == "proved"
    after = events()
    assert check() == {"missing": 1}
    assert check("--within-days", "1") == {}
    assert events() == after
    zone.publish(over["record"])
    assert prove(call, over).json()["status"] == "proved", "until somebody else has it"
    age(over, days=100)
    del zone.texts[over["record"]["name"]]
    assert check("--within-days", "1") == {"lapsed": 1}


def test_the_command_catches_up_where_it_was_not_run(call: Call, zone: Zone) -> None:
    """A proof that has lapsed is renewed as long as its record is there and nobody has taken the domain."""
    kept, lost = proved(call, zone, "kept.test"), proved(call, zone, "lost.test")
    for claim in (kept, lost):
        age(claim, days=100)
    proved(call, zone, "lost.test", "globex_owner")
    assert check() == {"proved": 1, "lapsed": 1}
    assert (see(call, kept)["status"], see(call, lost)["status"]) == ("proved", "lapsed")


def test_the_command_says_what_it_did(call: Call, zone: Zone, capsys: pytest.CaptureFixture[str]) -> None:
    age(proved(call, zone), days=80)
    call_command("check_domains")
    assert capsys.readouterr().out == "Domains: 1 proved, 0 missing, 0 lapsed, 0 gone.\n"


def test_a_claim_that_goes_meanwhile_is_no_error(db: None, zone: Zone) -> None:
    claim = claim_of(acme())
    claim_id = claim.pk
    claim.delete()
    assert services.look_after(tenant_id=acme().pk, claim_id=claim_id).value == "gone"


def test_the_command_can_be_killed_and_run_again(rivals: list[Tenant], zone: Zone) -> None:
    """What it did before is kept; the rest is done the next time."""
    dates = {"proved_at": timezone.now() - timedelta(days=80), "expires_at": timezone.now() + timedelta(days=10)}
    first = claim_of(rivals[0], "first.test", **dates)
    dates["expires_at"] += timedelta(days=1)
    second = claim_of(rivals[1], "second.test", **dates)
    publish(zone, first, second)
    zone.silent.add(second.record.name)
    environment = {**os.environ, **urls(), "DNS_NAMESERVERS": zone.address, "DNS_SECONDS": "60"}
    environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
    command = [sys.executable, "manage.py", "check_domains"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 60
        while second.record.name not in {name for _, name in zone.asked}:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    zone.silent.clear()
    assert list(services.DomainClaim.objects.filter(checked_at__isnull=False)) == [first]
    assert check() == {"proved": 1}
    second.refresh_from_db()
    assert second.expires_at > timezone.now() + timedelta(days=89)


def test_claims_are_pruned_some_time_after_they_have_lapsed(call: Call, zone: Zone) -> None:
    claims = [add(call, f"{number}.test") for number in range(3)]
    for claim in claims[:2]:
        age(claim, days=8)
    assert check() == {"lapsed": 2}
    DomainClaim.objects.filter(pk=claims[0]["id"]).update(lapsed_at=timezone.now() - timedelta(days=31))
    assert services.prune_claims(keep=timedelta(days=30), limit=10) == 1
    left = DomainClaim.objects.order_by("domain").values_list("domain", flat=True)
    assert list(left) == ["1.test", "2.test"]


def test_a_tenant_takes_its_claims_with_it(unwrapped: None) -> None:
    with provisioned("rival-three") as tenant:
        claim = claim_of(tenant, join_role=Role.VIEWER.value)
        with enter(tenant.pk):
            assert DomainClaim.objects.get().pk == claim.pk
    assert not DomainClaim.objects.filter(pk=claim.pk).exists()
