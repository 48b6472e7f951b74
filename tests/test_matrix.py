"""Who may do what: every route x method x actor, against one reviewed table.

``golden/matrix.txt`` has a row for each route and method that is answered, and a column for each actor: ``ok`` for
whoever is let through (ids and bodies are made up, so what follows is mostly 400 or 404), else the status of the
refusal. A route without a row fails, and so does a row without a route. ``UPDATE_GOLDEN=1`` writes the table anew;
its diff is the review.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from permissions import endpoints
from permissions.endpoints import Endpoint
from tests.conftest import API_HOST, CAST, Call

# What this asks, again and again, others cover; tracing it takes half as long again.
pytestmark = pytest.mark.no_cover

GOLDEN = Path(__file__).parent / "golden" / "matrix.txt"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MISSING_ID = "00000000-0000-4000-8000-000000000000"
REFUSALS = {401, 403, 405}

Table = dict[str, dict[str, str]]  # "METHOD route" to actor to outcome


def answered(endpoint: Endpoint) -> set[str]:
    return set(endpoint.keys) or {"GET"}


def probe(call: Call, *, answering: bool) -> Table:
    """Ask every route with every method that it answers, or with every other one, as every actor."""
    return {
        f"{method} {endpoint.route}": {actor: _ask(call, actor, method, endpoint.route) for actor in CAST}
        for endpoint in endpoints.endpoints(settings.ROOT_URLCONF)
        for method in METHODS
        if (method in answered(endpoint)) is answering
    }


def _ask(call: Call, actor: str, method: str, route: str) -> str:
    path = "/" + re.sub(r"<\w+:\w+>", MISSING_ID, route.replace("<slug:name>", "tenant"))
    host = API_HOST if route.startswith(("operator/", "auth/", ".well-known/", "metrics")) else CAST[actor].host
    with transaction.atomic():  # what one cell does (signing out, say) is not for the next one
        response: Any = call(actor, method, path, None if method == "GET" else {}, host=host)
        transaction.set_rollback(True)
    # SCIM says with 501 what it is not asked here.
    assert response.status_code < 500 or response.status_code == 501, (method, route, actor, response.content)
    return str(response.status_code) if response.status_code in REFUSALS else "ok"


def write(table: Table) -> str:
    """Return the table as the golden file has it."""
    width = max(map(len, table)) + 2
    header = " " * width + "".join(f"{actor:<14}" for actor in CAST)
    rows = (f"{key:<{width}}" + "".join(f"{outcome:<14}" for outcome in row.values()) for key, row in table.items())
    return "\n".join(line.rstrip() for line in (header, *rows)) + "\n"


def read() -> Table:
    """Return the golden table."""
    header, *lines = GOLDEN.read_text().splitlines()
    cells = [line.split() for line in lines]
    return {f"{method} {route}": dict(zip(header.split(), row, strict=True)) for method, route, *row in cells}


def test_every_route_method_and_actor_is_as_reviewed(call: Call) -> None:
    """A new route, or another answer to anybody, is a reviewed change of the golden file."""
    table = probe(call, answering=True)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(write(table))
    assert table == read()


def test_a_method_that_nothing_answers_is_405(call: Call) -> None:
    """And needs no scope to be told so; a token of the other API is refused before that."""
    for key, row in probe(call, answering=False).items():
        assert set(row.values()) <= {"405", "401"}, key
        assert row["nobody"] == "405", key


def test_strangers_get_nothing_but_public_endpoints() -> None:
    """In the table itself: nobody gets 401 wherever the route is not on the public list."""
    for key, row in read().items():
        if key.split(" ")[1] not in settings.PUBLIC_ENDPOINTS:
            assert row["nobody"] == "401", key


def test_the_two_apis_share_no_caller() -> None:
    """In the table itself: a tenant token opens nothing at the operators', an operator's token nothing elsewhere."""
    for key, row in read().items():
        route = key.split(" ")[1]
        if route not in settings.PUBLIC_ENDPOINTS:
            outsiders = CAST.keys() - {"operator"} if route.startswith("operator/") else {"operator"}
            assert {row[actor] for actor in outsiders} == {"401"}, key


def test_machines_and_support_hold_nothing_that_is_a_persons() -> None:
    """In the table itself: a machine client and support staff get nowhere near accounts, roles and credentials, and
    support staff write nothing.
    """
    for key, row in read().items():
        method, route = key.split(" ")
        if route in settings.PUBLIC_ENDPOINTS:
            continue
        if re.match(r"api/v1/(me|auth|clients)\b", route):
            assert (row["acme_client"], row["acme_support"]) == ("403", "403"), key
        if method != "GET" and route.startswith("api/"):
            assert row["acme_support"] == "403", key


def test_tenant_hosts_answer_no_operator_path(call: Call) -> None:
    """The operator API is on the API hosts alone."""
    assert not [e.route for e in endpoints.endpoints(settings.TENANT_URLCONF) if e.route.startswith("operator")]
    assert call("operator", "GET", "/operator/v1/tenants", host=CAST["acme_owner"].host).status_code == 404


def test_a_token_of_one_tenant_is_refused_on_every_route_of_another_tenants_host(call: Call) -> None:
    """403 whatever the path, the method or the role: before any permission is asked."""
    host = CAST["acme_owner"].host
    for endpoint in endpoints.endpoints(settings.TENANT_URLCONF):
        for method in endpoint.keys if not endpoint.is_public else ():
            path = "/" + re.sub(r"<\w+:\w+>", MISSING_ID, endpoint.route)
            if endpoint.route.startswith("scim/"):  # where no person's token is good, whoever's; see test_scim.py
                continue
            response = call("globex_owner", method, path, host=host)
            assert (response.status_code, response.json()["code"]) == (403, "tenant_mismatch"), endpoint.route
