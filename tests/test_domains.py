"""Domains: said to be a tenant's, proved by the DNS, one tenant each, and over in time."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.utils import timezone

from identity.domains import dns, names
from identity.domains.dns import NoAnswer, nameservers, txt_records
from identity.domains.models import DomainClaim
from identity.domains.names import normalize_domain
from permissions import limits
from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.conftest import Call
from tests.dns_server import Zone, serving
from tests.test_members import acme, code, compose, events, signed_in

DOMAINS = "/api/v1/domains"
NAME = "marsh.test"
RECORD = f"_tenantry-challenge.{NAME}"


@pytest.fixture
def zone(settings: Any) -> Iterator[Zone]:
    """A DNS server that is the one asked; a look-up has a second."""
    with serving() as zone:
        settings.DNS_NAMESERVERS, settings.DNS_SECONDS = [zone.address], 1.0
        yield zone


def add(call: Call, domain: str = NAME, actor: str = "acme_admin", **more: Any) -> dict[str, Any]:
    response = call(actor, "POST", DOMAINS, {"domain": domain, **more})
    assert response.status_code == 201, response.content
    claim: dict[str, Any] = response.json()
    return claim


def prove(call: Call, claim: dict[str, Any], actor: str = "acme_admin") -> Any:
    return call(actor, "POST", f"{DOMAINS}/{claim['id']}/prove")


def see(call: Call, claim: dict[str, Any], actor: str = "acme_admin") -> dict[str, Any]:
    seen: dict[str, Any] = call(actor, "GET", f"{DOMAINS}/{claim['id']}").json()
    return seen


def proved(call: Call, zone: Zone, domain: str = NAME, actor: str = "acme_admin", **more: Any) -> dict[str, Any]:
    """A claim of a domain, proved."""
    claim = add(call, domain, actor, **more)
    zone.publish(claim["record"])
    answer = prove(call, claim, actor)
    assert answer.status_code == 200, answer.content
    result: dict[str, Any] = answer.json()
    return result


def age(claim: dict[str, Any], **by: float) -> None:
    """Let a claim's dates have been so much earlier."""
    row = DomainClaim.objects.get(pk=claim["id"])
    row.expires_at -= timedelta(**by)
    row.proved_at = row.proved_at and row.proved_at - timedelta(**by)
    row.save()


def error_codes(response: Any) -> list[str]:
    assert response.status_code == 400, response.content
    return [error["code"] for error in response.json()["errors"]]


# --- From saying so to the proof --------------------------------------------------------------------------------------


def test_a_domain_is_added_published_and_proved(call: Call, zone: Zone) -> None:
    before = events()
    claim = add(call)
    value = claim["record"]["value"]
    assert claim["record"] == {"type": "TXT", "name": RECORD, "value": value}
    assert value.startswith("tenantry-verification=")
    assert len(value.partition("=")[2]) == 32
    assert (claim["status"], claim["auto_join"], claim["join_role"]) == ("pending", False, "member")
    refused = prove(call, claim)
    assert (refused.status_code, code(refused), refused.json()["found"]) == (409, "domain_not_proved", "nothing")
    assert RECORD in refused.json()["detail"]
    assert see(call, claim)["checked_at"]
    zone.publish(claim["record"])
    answer = prove(call, claim).json()
    assert (answer["status"], answer["record"]) == ("proved", claim["record"])
    assert answer == see(call, claim) == call("acme_owner", "GET", f"{DOMAINS}?status=proved").json()["results"][0]
    days = DomainClaim.objects.get().expires_at - timezone.now()
    assert timedelta(days=89, hours=23) < days < timedelta(days=90)
    assert call("acme_admin", "DELETE", f"{DOMAINS}/{claim['id']}").status_code == 204
    assert call("acme_admin", "GET", f"{DOMAINS}/{claim['id']}").status_code == 404
    assert events()[len(before) :] == ["domain.added", "domain.proved", "domain.removed"]


def test_each_claim_has_a_record_of_its_own(call: Call) -> None:
    values = {add(call, actor=actor)["record"]["value"] for actor in ("acme_admin", "globex_owner")}
    values |= {add(call, f"{number}.test")["record"]["value"] for number in range(5)}
    assert len(values) == 7


def test_claims_are_filtered_searched_and_ordered(call: Call, zone: Zone) -> None:
    claims = {name: add(call, f"{name}.test") for name in ("one", "two", "three")}
    zone.publish(claims["two"]["record"])
    assert prove(call, claims["two"]).status_code == 200
    age(claims["three"], days=8)
    expected = {
        "status=pending": ["one.test"],
        "status=proved": ["two.test"],
        "status=lapsed": ["three.test"],
        "search=TWO": ["two.test"],
        "ordering=domain": ["one.test", "three.test", "two.test"],
    }
    for query, domains in expected.items():
        found = call("acme_admin", "GET", f"{DOMAINS}?{query}").json()["results"]
        assert [row["domain"] for row in found] == domains, query


def test_only_who_holds_the_scopes(call: Call) -> None:
    claim = add(call)
    for actor in ("acme_member", "acme_viewer", "acme_client", "acme_support"):
        assert code(call(actor, "GET", DOMAINS)) == "insufficient_scope"
        assert code(call(actor, "POST", DOMAINS, {"domain": "x.test"})) == "insufficient_scope"
        assert code(prove(call, claim, actor)) == "insufficient_scope"
    compose("looker", "domains:read")
    looker = {"HTTP_AUTHORIZATION": f"Bearer {signed_in('looker@acme.test', 'looker')['access_token']}"}
    assert call("nobody", "GET", DOMAINS, **looker).json()["results"] == [claim]
    assert code(call("nobody", "DELETE", f"{DOMAINS}/{claim['id']}", **looker)) == "insufficient_scope"


def test_proving_is_limited_for_each_tenant(call: Call, zone: Zone, settings: Any) -> None:
    claim, theirs = add(call), add(call, actor="globex_owner")
    limits.forget()
    settings.THROTTLES, settings.THROTTLE_RATES = True, {}
    try:
        answers = [prove(call, claim, actor) for actor in ("acme_admin", "acme_owner") * 6]
        assert [answer.status_code for answer in answers] == [409] * 10 + [429] * 2
        assert code(prove(call, theirs, "globex_owner")) == "domain_not_proved"
    finally:
        limits.forget()


# --- What the DNS says ------------------------------------------------------------------------------------------------


def test_only_the_whole_record_is_a_proof(call: Call, zone: Zone) -> None:
    """Of this claim, at this name; what else there is, is counted and not repeated."""
    claim, theirs = add(call), add(call, actor="globex_owner")
    value = claim["record"]["value"]
    wrong = [theirs["record"]["value"], value[:-1], f"{value}x", value.upper(), value.partition("=")[2], "", "v=spf1"]
    zone.texts[RECORD] = [[text.encode()] for text in wrong]
    zone.texts[NAME] = zone.texts[f"_tenantry-challenge.www.{NAME}"] = [[value.encode()]]
    refused = prove(call, claim)
    assert (code(refused), refused.json()["found"]) == ("domain_not_proved", "other_text")
    assert f"there are {len(wrong)} text records" in refused.json()["detail"]
    assert all(text not in refused.json()["detail"] for text in wrong if text)
    assert see(call, claim)["status"] == "pending"
    zone.publish(claim["record"])
    assert prove(call, claim).status_code == 200


def test_a_record_in_several_strings_is_one_text(call: Call, zone: Zone) -> None:
    claim = add(call)
    value = claim["record"]["value"].encode()
    zone.texts[RECORD] = [[value[:10], value[10:]]]
    assert prove(call, claim).status_code == 200


def test_a_record_may_be_elsewhere_by_an_alias(call: Call, zone: Zone) -> None:
    claim = add(call)
    zone.aliases[RECORD] = "proofs.elsewhere.test"
    assert prove(call, claim).json()["found"] == "nothing"
    zone.texts["proofs.elsewhere.test"] = [[claim["record"]["value"].encode()]]
    assert prove(call, claim).status_code == 200


def test_an_answer_that_is_too_long_for_udp_comes_over_tcp(call: Call, zone: Zone) -> None:
    claim = add(call)
    zone.texts[RECORD] = [[bytes([65 + number % 26]) * 255] * 2 for number in range(100)]
    zone.publish(claim["record"])
    assert prove(call, claim).status_code == 200
    assert [transport for transport, _ in zone.asked] == ["udp", "tcp"]


def test_any_bytes_may_be_in_a_record(zone: Zone) -> None:
    zone.texts["bytes.test"] = [[b"\xff\x00", "ü".encode()]]
    assert txt_records("bytes.test") == ["\ufffd\x00ü"]
    zone.texts["empty.test"] = []
    assert txt_records("empty.test") == txt_records("missing.test") == []


def test_a_server_that_is_broken_or_silent_is_no_answer(call: Call, zone: Zone) -> None:
    claim = add(call)
    zone.publish(claim["record"])
    for names_, longest in ((zone.broken, 0.5), (zone.silent, 1.5)):
        names_.add(RECORD)
        begun = time.monotonic()
        refused = prove(call, claim)
        assert time.monotonic() - begun < longest
        assert (refused.status_code, refused.json()["found"]) == (409, "no_answer")
        names_.clear()
    assert prove(call, claim).status_code == 200


def test_the_next_resolver_is_asked_when_one_is_silent(zone: Zone, settings: Any) -> None:
    zone.texts["here.test"] = [[b"x"]]
    with serving() as other:
        other.silent.add("here.test")
        settings.DNS_NAMESERVERS = [other.address, zone.address]
        assert txt_records("here.test") == ["x"]
    settings.DNS_NAMESERVERS = ["127.0.0.1:1"]  # nobody is there
    with pytest.raises(NoAnswer):
        txt_records("here.test")


def test_resolvers_are_named_by_address_and_port(settings: Any) -> None:
    settings.DNS_NAMESERVERS = ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]
    found = [(server.address, server.port) for server in nameservers()]
    assert found == [("192.0.2.53", 53), ("192.0.2.53", 5353), ("2001:db8::53", 53), ("2001:db8::53", 5353)]
    for wrong in (
        "",
        "dns.example",
        "192.0.2.53:x",
        "192.0.2.53:99999",
        "192.0.2.0/24",
        "192.0.2.53:",
        "192.0.2.53:0",
        "[192.0.2.53",
        "[2001:db8::53",
        "::53:x:1",
    ):
        settings.DNS_NAMESERVERS = [wrong]
        with pytest.raises(ImproperlyConfigured):
            nameservers()
        assert "domains.E001" in {message.id for message in run_checks()}


def test_without_a_setting_the_systems_resolvers_are_asked(settings: Any) -> None:
    settings.DNS_NAMESERVERS = []
    assert dns._resolver().nameservers


# --- Which names there are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Marsh.TEST", NAME), ("marsh.test.", NAME), (" marsh.test ", NAME), ("a.b.c.marsh.test", "a.b.c.marsh.test"),
        ("bücher.test", "xn--bcher-kva.test"), ("BÜCHER.test", "xn--bcher-kva.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"), ("faß.test", "xn--fa-hia.test"), ("\uff4darsh\uff0etest", NAME),
        ("marsh\u3002test", NAME), ("m\u0430rsh.test", "xn--mrsh-53d.test"),  # the last one with a Cyrillic letter
    ],
)  # fmt: skip
def test_a_name_is_kept_in_one_spelling(call: Call, text: str, domain: str) -> None:
    assert add(call, text)["domain"] == domain
    assert code(call("acme_admin", "POST", DOMAINS, {"domain": domain})) == "domain_claimed"


@pytest.mark.parametrize(
    "text",
    ["marsh", "com", ".test", "marsh..test", "-marsh.test", "marsh-.test", "ma rsh.test", "ma_rsh.test", "*.marsh.test",
     "marsh.test:53", "https://marsh.test", "a@marsh.test", "marsh.test/", "192.0.2.1", "[::1]", "x" * 64 + ".test",
     ".".join(["x" * 60] * 4) + ".test", "\u202emarsh.test", "marsh\u200f.test", "ü" * 80 + ".test", "marsh.test..",
     "xn--.test\u0301", "\u2603.test", "\ud800.test", "", "."],
)  # fmt: skip
def test_what_is_no_name_is_refused(call: Call, text: str) -> None:
    response = call("acme_admin", "POST", DOMAINS, {"domain": text})
    assert response.status_code == 400, response.json()
    assert code(response) in {"validation_error", "parse_error"}


@pytest.mark.parametrize(
    ("refusal", "domains"),
    [
        ("public_mail_domain", ["gmail.com", "GMail.com.", "hotmail.co.uk", "mail.gmx.net", "\uff47mail.com",
                                "freemail.test", "a.freemail.test"]),
        ("reserved_domain", ["acme.localhost", "marsh.invalid", "marsh.local", "marsh.internal", "marsh.onion",
                             "example.com", "www.example.org", "2.0.192.in-addr.arpa", "marsh.example"]),
    ],
)  # fmt: skip
def test_a_name_that_is_nobodys_own_is_refused(call: Call, settings: Any, refusal: str, domains: list[str]) -> None:
    settings.PUBLIC_MAIL_DOMAINS = ["Freemail.test"]
    for domain in domains:
        assert error_codes(call("acme_admin", "POST", DOMAINS, {"domain": domain})) == [refusal], domain
    assert not DomainClaim.objects.exists()
    for domain in ("notgmail.com", "gmail.com.marsh.test", "mygmx.net", "localhost.test", "co.uk"):
        assert add(call, domain)["domain"] == domain


def test_the_platforms_own_names_are_nobodys(call: Call, settings: Any) -> None:
    settings.BASE_DOMAIN, settings.API_HOSTS = "saas.test", frozenset({"api.platform.test"})
    for domain in ("saas.test", "acme.saas.test", "api.platform.test", "x.api.platform.test"):
        assert error_codes(call("acme_admin", "POST", DOMAINS, {"domain": domain})) == ["reserved_domain"], domain
    assert add(call, "platform.test")["domain"] == "platform.test"


def test_the_list_of_public_mail_domains_is_tidy() -> None:
    listed = names._listed()
    assert len(listed) > 500
    assert {"gmail.com", "outlook.com", "yahoo.co.jp", "icloud.com", "qq.com", "proton.me", "web.de"} <= listed
    assert all(normalize_domain(domain) == domain for domain in listed)


def test_a_tenant_has_a_bounded_number_of_domains(call: Call, settings: Any) -> None:
    settings.DOMAIN_LIMIT = 3
    claims = [add(call, f"{number}.test") for number in range(3)]
    assert code(call("acme_admin", "POST", DOMAINS, {"domain": "4.test"})) == "too_many_domains"
    age(claims[0], days=8)
    assert add(call, "0.test")["id"] != claims[0]["id"], "a lapsed one makes way for itself"
    assert call("acme_admin", "DELETE", f"{DOMAINS}/{claims[1]['id']}").status_code == 204
    add(call, "4.test")
    add(call, "4.test", actor="globex_owner")


# --- Behind the wall --------------------------------------------------------------------------------------------------


def test_another_tenants_claims_are_not_there(call: Call, zone: Zone) -> None:
    claim = add(call)
    zone.publish(claim["record"])
    path = f"{DOMAINS}/{claim['id']}"
    assert prove(call, claim, "globex_owner").status_code == 404
    for method, body in (("GET", None), ("PATCH", {"auto_join": True}), ("DELETE", None)):
        assert call("globex_owner", method, path, body).status_code == 404
    assert call("globex_owner", "GET", DOMAINS).json()["results"] == []
    assert zone.asked == []
    globex = Tenant.objects.get(slug="globex")
    with enter(globex.pk):  # without any filter
        assert not DomainClaim.objects.exists()
        assert DomainClaim.objects.update(auto_join=True) == 0
    with enter(acme().pk):
        assert DomainClaim.objects.count() == 1
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            DomainClaim.objects.create(tenant=globex, domain=NAME, expires_at=timezone.now())


@pytest.mark.parametrize("column", ["domain", "challenge", "tenant_id", "id"])
def test_a_tenant_cannot_turn_a_claim_into_another(call: Call, column: str) -> None:
    add(call)
    with enter(acme().pk), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        DomainClaim.objects.update(**{column: acme().pk})


def test_a_role_of_another_tenant_does_not_fit(db: None) -> None:
    theirs = compose("theirs", "tasks:read", tenant="globex")
    row = {"tenant": acme(), "domain": NAME, "expires_at": timezone.now()}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match="domains_claim_role_of_tenant"), transaction.atomic():
            DomainClaim.objects.create(**row, join_role="theirs", custom_role=theirs)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    for role in ("admin", "owner", "nothing"):
        with pytest.raises(IntegrityError, match="domains_claim_role"), transaction.atomic():
            DomainClaim.objects.create(**row, join_role=role)
