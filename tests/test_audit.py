"""The audit trail: every privileged change is in it, nobody but the owner of the tables can touch it, and whoever does
is found out.
"""

import ast
import csv
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity.members.models import Membership
from permissions.roles import Role
from tenants.audit import selectors
from tenants.audit import services as audit
from tenants.audit.chain import canonical
from tenants.audit.models import PLATFORM, AuditChain, AuditEvent
from tenants.audit.services import Target, record
from tenants.context.entry import enter
from tenants.context.ownership import as_owner
from tenants.registry.models import Tenant
from tests.committed import provisioned
from tests.conftest import Call
from tests.test_architecture import PACKAGES, ROOT, imports, modules
from tests.test_races import at_once

GOLDEN = Path(__file__).parent / "golden" / "actions.txt"
EVENTS = "/api/v1/audit-events"


def acme_id() -> UUID:
    tenant_id: UUID = Tenant.objects.get(slug="acme").pk
    return tenant_id


def viewer() -> Membership:
    return Membership.objects.get(user__email="viewer@acme.test", tenant__slug="acme")


def demote(call: Call, role: str = "member", **extra: Any) -> Any:
    return call("acme_owner", "PATCH", f"/api/v1/members/{viewer().pk}", {"role": role}, **extra)


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_a_change_is_one_event_that_says_all_of_it(call: Call) -> None:
    before = AuditEvent.objects.filter(tenant_id=acme_id()).count()
    response = demote(call, HTTP_X_REQUEST_ID="support-case-17")
    assert response.headers["X-Request-ID"] == "support-case-17"
    listed = call("acme_owner", "GET", EVENTS).json()["results"]
    assert AuditEvent.objects.filter(tenant_id=acme_id()).count() == before + 1
    event = listed[0]
    owner = Membership.objects.get(user__email="owner@acme.test")
    assert event["action"] == "member.role_changed"
    assert event["targets"] == [{"type": "member", "id": str(viewer().pk), "name": "Viewer"}]
    assert event["changes"] == {"role": ["viewer", "member"]}
    assert (event["actor"]["kind"], event["actor"]["id"], event["actor"]["act"]) == ("member", str(owner.user_id), None)
    assert (event["address"], event["request_id"]) == ("127.0.0.1", "support-case-17")
    assert call("acme_owner", "GET", f"{EVENTS}/{event['id']}").json() == event
    demote(call)
    assert AuditEvent.objects.filter(tenant_id=acme_id()).count() == before + 1, "nothing changed: no event"


def test_a_request_id_that_is_none_is_replaced(call: Call) -> None:
    for given_id in ("short", "x" * 65, "with space inside", 'quote"quote', "new\nline-here", ""):
        answered = call("acme_owner", "GET", "/api/v1/tenant", HTTP_X_REQUEST_ID=given_id).headers["X-Request-ID"]
        assert str(UUID(answered)) == answered, given_id


def test_a_machine_is_named_as_such_and_reads_what_it_may(call: Call) -> None:
    """Of clients, those who were given the scope; of members, admins; nobody writes."""
    assert call("acme_client", "GET", EVENTS).json()["scope"] == "audit-events:read"
    assert call("acme_member", "GET", EVENTS).status_code == 403
    assert call("acme_admin", "GET", EVENTS).status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert call("acme_owner", method, EVENTS, {}).status_code == 405


def test_one_tenants_trail_is_not_anothers(call: Call) -> None:
    demote(call)
    theirs = call("globex_owner", "GET", EVENTS).json()["results"]
    assert not [event for event in theirs if event["action"] == "member.role_changed"]
    own = call("acme_owner", "GET", EVENTS).json()["results"][0]["id"]
    assert call("globex_owner", "GET", f"{EVENTS}/{own}").status_code == 404


def test_filters(call: Call) -> None:
    demote(call)
    demote(call, "viewer", HTTP_X_REQUEST_ID="second-one")
    call("acme_owner", "PATCH", "/api/v1/tenant", {"name": "Other"})
    target, owner = viewer().pk, Membership.objects.get(user__email="owner@acme.test").user_id

    def found(query: str) -> list[str]:
        response = call("acme_owner", "GET", f"{EVENTS}?{query}")
        assert response.status_code == 200, response.content
        return [event["action"] for event in response.json()["results"]]

    assert found(f"target_id={target}&limit=2") == ["member.role_changed"] * 2
    assert found("action=tenant.changed") == ["tenant.changed"]
    assert found("request_id=second-one") == ["member.role_changed"]
    assert found(f"actor_id={owner}&limit=3") == ["tenant.changed", *["member.role_changed"] * 2]
    assert found(f"actor_id={uuid4()}") == []
    assert found("occurred_after=2999-01-01T00:00:00Z") == []
    assert found("occurred_before=2001-01-01T00:00:00Z") == []
    for query in ("target_id=x", "actor_id=5", "occurred_after=soon"):
        assert call("acme_owner", "GET", f"{EVENTS}?{query}").status_code == 400, query


# --- Both or neither --------------------------------------------------------------------------------------------------


def test_without_its_event_a_change_does_not_happen(call: Call, unwrapped: None) -> None:
    """Postgres refuses the event here, as it would for a full disk or a lost right: the change is gone as well."""
    table = "audit_auditevent"
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT nothing_new CHECK (false) NOT VALID")
    try:
        response = demote(call)
        renamed = call("acme_owner", "PATCH", "/api/v1/tenant", {"name": "Other"})
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT nothing_new")
    assert (response.status_code, renamed.status_code) == (409, 409)
    assert viewer().role == Role.VIEWER
    assert Tenant.objects.get(slug="acme").name == "Acme Corporation"


def test_a_refused_change_leaves_no_event(call: Call) -> None:
    before = AuditEvent.objects.count()
    assert call("acme_admin", "PATCH", f"/api/v1/members/{viewer().pk}", {"role": "owner"}).status_code == 403
    assert AuditEvent.objects.count() == before


# --- Nobody touches it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET action = 'x.y'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "UPDATE audit_auditchain SET last_sequence = 0",
        "DELETE FROM audit_auditchain",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_append ON audit_auditevent",
        "CREATE OR REPLACE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ],
)
def test_not_even_the_app_changes_what_is_written(db: None, statement: str) -> None:
    refused = pytest.raises(ProgrammingError, match=r"permission denied|must be owner")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_place_time_and_hashes_are_not_the_writers_to_choose(db: None) -> None:
    forged = AuditEvent.objects.create(
        tenant_id=acme_id(),
        action="member.removed",
        actor_kind="system",
        sequence=1,
        occurred_at="2001-01-01T00:00:00Z",
        previous_hash=b"x" * 32,
        hash=b"y" * 32,
    )
    stored = AuditEvent.objects.get(pk=forged.pk)
    assert stored.sequence == AuditChain.objects.get(pk=acme_id()).last_sequence > 1
    assert stored.occurred_at is not None
    assert stored.occurred_at.year > 2001
    assert bytes(stored.hash) != b"y" * 32
    assert selectors.verdict_on(acme_id()).is_whole


# --- The chain --------------------------------------------------------------------------------------------------------

LENGTH = 6


@pytest.fixture
def tenant(unwrapped: None) -> Iterator[Tenant]:
    """A tenant of this test's own, with a few events after its first one."""
    with provisioned("well-watched") as tenant:
        for index in range(LENGTH - 1):
            record(action="probe.made", tenant_id=tenant.pk, changes={"number": [None, index]})
        yield tenant


@contextmanager
def past_the_trigger() -> Iterator[Any]:
    """As somebody who owns the database's tables, and does what they like."""
    with as_owner(), connections["owner"].cursor() as cursor:
        yield cursor


SWAP = """
UPDATE {t} SET sequence = CASE sequence WHEN 3 THEN -3 ELSE -4 END WHERE sequence IN (3, 4) AND {own};
UPDATE {t} SET sequence = CASE sequence WHEN -3 THEN 4 ELSE 3 END WHERE sequence < 0 AND {own}
"""
APPEND = """
ALTER TABLE {t} DISABLE TRIGGER audit_append;
INSERT INTO {t} (
    id, tenant_id, sequence, occurred_at, action, actor_kind, address, request_id, targets, changes, previous_hash, hash
) SELECT gen_random_uuid(), tenant_id, 7, now(), 'probe.made', 'system', '', '', '[]', '[]', hash, sha256('x')
FROM {t} WHERE sequence = 6 AND {own};
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE {t} ENABLE TRIGGER audit_append
"""
TAMPERINGS = {
    "an edited action": ("UPDATE {t} SET action = 'member.added' WHERE sequence = 3 AND {own}", {3}),
    "edited changes": ("UPDATE {t} SET changes = '{{\"number\": [null, 9]}}' WHERE sequence = 3 AND {own}", {3}),
    "an edited time": ("UPDATE {t} SET occurred_at = occurred_at - interval '1 day' WHERE sequence = 4 AND {own}", {4}),
    "another actor": ("UPDATE {t} SET actor_id = gen_random_uuid() WHERE sequence = 2 AND {own}", {2}),
    "an edited address": ("UPDATE {t} SET address = '192.0.2.1' WHERE sequence = 5 AND {own}", {5}),
    "an edited hash": ("UPDATE {t} SET hash = sha256('x') WHERE sequence = 3 AND {own}", {3, 4}),
    "a gap": ("DELETE FROM {t} WHERE sequence = 3 AND {own}", {4}),
    "the first one missing": ("DELETE FROM {t} WHERE sequence = 1 AND {own}", {2}),
    "the last one missing": ("DELETE FROM {t} WHERE sequence = 6 AND {own}", {6}),
    "all missing": ("DELETE FROM {t} WHERE {own}", {1}),
    "two in each other's place": (SWAP, {3, 4, 5}),
    "one put in beyond the end": (APPEND, {7}),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_tampering_is_found_where_it_is(tenant: Tenant, name: str) -> None:
    """By somebody who owns the tables; and with it put right again the chain is whole."""
    statement, places = TAMPERINGS[name]
    assert selectors.verdict_on(tenant.pk).events == LENGTH
    with past_the_trigger() as cursor:
        cursor.execute(statement.format(t="audit_auditevent", own=f"tenant_id = '{tenant.pk}'"))
    verdict = selectors.verdict_on(tenant.pk)
    assert not verdict.is_whole
    assert {fault.sequence for fault in verdict.faults} == places, verdict.faults


def test_a_whole_forged_chain_still_ends_elsewhere(tenant: Tenant) -> None:
    """Somebody drops the last event and computes the hashes before it anew: the chain's end tells."""
    with past_the_trigger() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE tenant_id = %s AND sequence = %s", [tenant.pk, LENGTH])
        cursor.execute("UPDATE audit_auditchain SET last_sequence = %s WHERE id = %s", [LENGTH - 1, tenant.pk])
    assert [fault.problem for fault in selectors.verdict_on(tenant.pk).faults] == [
        "the last event is not the one that was written last"
    ]


def test_the_api_and_the_command_say_so(call: Call, unwrapped: None, capsys: pytest.CaptureFixture[str]) -> None:
    demote(call)
    verdict = call("acme_owner", "GET", f"{EVENTS}/verify").json()
    assert (verdict["is_whole"], verdict["faults"], verdict["first"]) == (True, [], 1)
    assert verdict["events"] == verdict["last"]
    call_command("verify_audit", "--json", "--tenant", str(acme_id()))
    said = json.loads(capsys.readouterr().out)
    assert (said["is_whole"], said["chain"]) == (True, str(acme_id()))


def test_the_command_fails_on_a_broken_chain(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_audit")
    assert f"{tenant.pk}  whole  {LENGTH} events, 1 to {LENGTH}" in capsys.readouterr().out
    with past_the_trigger() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE tenant_id = %s AND sequence = 2", [tenant.pk])
    with pytest.raises(CommandError, match="1 of"):
        call_command("verify_audit")
    assert "event 3: 2 is missing before it" in capsys.readouterr().out


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(
    derandomize=True, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(texts, st.lists(values, min_size=2, max_size=2), max_size=3), name=texts)
def test_both_ways_of_computing_a_hash_agree(db: None, changes: dict[str, Any], name: str) -> None:
    """Postgres' trigger and ``chain.canonical``, whatever is in the event."""
    with transaction.atomic():
        record(action="probe.made", tenant_id=None, targets=[Target("probe", uuid4(), name)], changes=changes)
        verdict = selectors.verdict_on(PLATFORM)
        transaction.set_rollback(True)
    assert verdict.is_whole, verdict.faults


def test_the_canonical_form_is_what_the_docstring_says(db: None) -> None:
    """Written out once, for whoever computes it elsewhere."""
    target = UUID("0d3b6f0a-0b7b-4a5e-8f53-8f0a3f2f4a11")
    record(action="probe.made", tenant_id=None, targets=[Target("probe", target, 'Vé"ra')], changes={"bb": [1, None]})
    event = AuditEvent.objects.filter(tenant_id=None).latest("sequence")
    assert event.occurred_at is not None
    time = event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert canonical(event).decode() == (
        f'[{event.sequence}, null, "{time}", "{event.pk}", "probe.made", '
        f'"system", null, null, null, "", "", [{{"id": "{target}", "name": "Vé\\"ra", "type": "probe"}}], '
        '{"bb": [1, null]}]'
    )


def test_many_at_once_are_one_chain(tenant: Tenant) -> None:
    """From many connections, inside the tenant and outside: no place twice, no gap."""

    def inside() -> None:
        with enter(tenant.pk):
            record(action="probe.made", tenant_id=tenant.pk)

    def rolled_back() -> None:
        with transaction.atomic():
            record(action="probe.made", tenant_id=tenant.pk)
            transaction.set_rollback(True)

    at_once([inside, lambda: record(action="probe.made", tenant_id=tenant.pk), rolled_back] * 2)
    verdict = selectors.verdict_on(tenant.pk)
    assert (verdict.is_whole, verdict.last) == (True, LENGTH + 4)


# --- Age --------------------------------------------------------------------------------------------------------------


def test_what_is_too_old_goes_and_the_chain_goes_on(tenant: Tenant) -> None:
    with past_the_trigger() as cursor:
        cursor.execute(
            "UPDATE audit_auditevent SET occurred_at = now() - interval '500 days'"
            " WHERE tenant_id = %s AND sequence <= 4",
            [tenant.pk],
        )
    with pytest.raises(ProgrammingError, match="permission denied"):
        audit.prune_events(keep=timedelta(days=400), limit=3)  # as the app
    with as_owner():
        assert [audit.prune_events(keep=timedelta(days=400), limit=3) for _ in range(3)] == [3, 1, 0]
    record(action="probe.made", tenant_id=tenant.pk)
    verdict = selectors.verdict_on(tenant.pk)
    assert (verdict.is_whole, verdict.first, verdict.last, verdict.events) == (True, 5, LENGTH + 1, 3)
    with past_the_trigger() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE tenant_id = %s AND sequence = 5", [tenant.pk])
    assert not selectors.verdict_on(tenant.pk).is_whole


# --- Files ------------------------------------------------------------------------------------------------------------


def stream(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_json_lines_have_all_of_it_and_verify_elsewhere(call: Call) -> None:
    demote(call)
    call("acme_owner", "PATCH", "/api/v1/tenant", {"branding": {"welcome": "Grüße"}})
    response = call("acme_owner", "GET", f"{EVENTS}/export?type=jsonl")
    assert response.headers["Content-Type"] == "application/jsonl"
    assert "audit-events.jsonl" in response.headers["Content-Disposition"]
    rows = [json.loads(line) for line in stream(response).splitlines()]
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1] == call("acme_owner", "GET", f"{EVENTS}?limit=1").json()["results"][0]
    assert [row["previous_hash"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]


def test_a_spreadsheet_gets_no_formula(call: Call) -> None:
    call("acme_owner", "PATCH", "/api/v1/tenant", {"name": "=HYPERLINK(1)"})
    text = stream(call("acme_owner", "GET", f"{EVENTS}/export?type=csv&action=tenant.changed"))
    header, row = csv.reader(io.StringIO(text))
    cells = dict(zip(header, row, strict=True))
    assert json.loads(cells["changes"])["name"] == ["Acme Corporation", "=HYPERLINK(1)"]
    assert json.loads(cells["targets"])[0]["name"] == "=HYPERLINK(1)"
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_an_export_says_what_is_wrong_with_it(call: Call) -> None:
    for query in ("", "?type=xlsx", "?type=csv&actor_id=x"):
        response = call("acme_owner", "GET", f"{EVENTS}/export{query}")
        assert (response.status_code, response.json()["code"]) == (400, "validation_error"), query


def test_the_platforms_chain_is_no_tenants(call: Call) -> None:
    """What concerns no tenant is in a chain of its own, which no tenant sees."""
    record(action="probe.made", tenant_id=None)
    assert PLATFORM in selectors.chain_ids()
    for actor in ("acme_owner", "globex_owner"):
        assert call(actor, "GET", f"{EVENTS}?action=probe.made").json()["results"] == []
    with pytest.raises(ValueError, match="no name"):
        record(action="Probe", tenant_id=None)


# --- The vocabulary ---------------------------------------------------------------------------------------------------


def recorded_actions() -> set[str]:
    """The names of actions in the modules that write to the trail."""
    trees = [ast.parse(module.read_text()) for module in modules(*PACKAGES)]
    writing = [tree for tree in trees if "tenants.audit.services.record" in set(imports(tree))]
    writing.append(ast.parse((ROOT / "tenants/registry/states.py").read_text()))  # the names of transitions
    texts = {node.value for tree in writing for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {
        text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", text)
    }


def test_the_names_of_actions_are_as_reviewed() -> None:
    """Whoever filters by them counts on them: a new name, or another one, is a reviewed line."""
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(sorted(recorded_actions())) + "\n")
    assert sorted(recorded_actions()) == GOLDEN.read_text().splitlines()
