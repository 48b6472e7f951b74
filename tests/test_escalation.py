"""Nobody sets what they may not set: every write operation, with every field that a model has and every field that an
answer shows (OWASP API3:2023, broken object property level authorization).

``golden/writable.txt`` is the other side: every field that each operation does take, from the OpenAPI documents. A new
one is a reviewed line.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import BinaryField, DateTimeField

from config import openapi
from tests.conftest import Call
from tests.test_bad_input import BODIES, MISSING_ID, NO_BODY, existing, send

# What this asks, again and again, others cover; tracing it takes half as long again.
pytestmark = pytest.mark.no_cover

GOLDEN = Path(__file__).parent / "golden" / "writable.txt"
FOREIGN = {"is_staff", "is_superuser", "is_admin", "permissions", "groups", "user", "owner", "held", "by", "ver"}
# What differs between two runs of one operation, whatever was sent.
VOLATILE = {"id", "hint", "request_id", "queue_id", "args", "job", "trace"}


def fields_of_models() -> set[str]:
    """Every field of every model of ours, by both of its names."""
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    return FOREIGN | {name for field in fields for name in (field.name, field.attname)}


def documents() -> Iterator[dict[str, Any]]:
    for document in openapi.DOCUMENTS.values():
        yield json.loads(document.file.read_text())


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def properties(document: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The fields of a schema, those of objects in it with a dot."""
    for name, referred in resolve(document, schema).get("properties", {}).items():
        inner = resolve(document, referred)
        item = resolve(document, inner.get("items", {}))
        nested = item if item.get("properties") else inner
        if nested.get("properties"):
            yield from properties(document, nested, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def writable() -> dict[str, list[str]]:
    """The fields that each operation takes, by method and path."""
    found = {}
    for document in documents():
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {}).values()
                names = {name for body in content for name in properties(document, body["schema"])}
                if names:
                    found[f"{method.upper()} {path}"] = sorted(names)
    return dict(sorted(found.items(), key=lambda item: item[0].split()[::-1]))


def shown() -> set[str]:
    """Every field that some answer shows."""
    return {
        name
        for document in documents()
        for schema in document["components"]["schemas"].values()
        for name in schema.get("properties", {})
    }


def test_what_can_be_written_is_as_reviewed() -> None:
    lines = [f"{operation}: {' '.join(names)}" for operation, names in writable().items()]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()


def everything_but(allowed: set[str]) -> dict[str, Any]:
    return dict.fromkeys(sorted((fields_of_models() | shown()) - allowed), "owner")


@pytest.mark.parametrize("endpoint", BODIES)
def test_every_other_field_is_refused_by_name(call: Call, endpoint: str) -> None:
    """All at once, so that one cannot hide behind another; nothing changes."""
    extra = everything_but({name.partition(".")[0] for name in writable()[endpoint.replace(MISSING_ID, "{id}")]})
    assert len(extra) > 100
    existing_row(call, endpoint)
    before = everything()
    response = send(call, endpoint, {**BODIES[endpoint], **extra})
    assert response.status_code == 400
    refused = {error["pointer"].removeprefix("#/"): error["code"] for error in response.json()["errors"]}
    assert refused.keys() == extra.keys()
    assert set(refused.values()) <= {"unknown_field", "read_only"}
    assert everything() == before


@pytest.mark.parametrize(
    "endpoint", ["POST /api/v1/invitations/bulk", "POST /api/v1/auth/register", "POST /api/v1/auth/email/verify"]
)
def test_nor_inside_what_is_nested(call: Call, endpoint: str) -> None:
    body = BODIES[endpoint]
    name, inner = next((name, inner) for name, inner in body.items() if isinstance(inner, list | dict))
    item = inner[0] if isinstance(inner, list) else inner
    extra = everything_but(set(item))
    spoilt = {**item, **extra}
    before = everything()
    response = send(call, endpoint, {**body, name: [spoilt] if isinstance(inner, list) else spoilt})
    assert response.status_code == 400
    pointers = {error["pointer"].rpartition("/")[2] for error in response.json()["errors"]}
    assert pointers == extra.keys()
    assert everything() == before


@pytest.mark.parametrize("endpoint", sorted(NO_BODY))
def test_an_operation_without_a_body_does_the_same_with_one(call: Call, endpoint: str) -> None:
    """Whatever is sent along: the same answer, and the same rows afterwards."""
    existing_row(call, endpoint)
    outcomes = []
    for body in ({}, everything_but(set())):
        with transaction.atomic():
            response = send(call, endpoint, body)
            outcomes.append((response.status_code, everything()))
            transaction.set_rollback(True)
    (status, rows), (other_status, other_rows) = outcomes
    assert other_status == status
    for model, before in rows.items():
        assert set(other_rows[model]) ^ set(before) == set(), model


def existing_row(call: Call, endpoint: str) -> None:
    path = endpoint.split(" ")[1]
    if MISSING_ID in path:
        actor = "operator" if path.startswith("/operator/") else "acme_owner"
        existing(call, actor, path.partition(f"/{MISSING_ID}")[0])


def everything() -> dict[str, list[Any]]:
    """Every row of every shared table of ours, but for what differs anyway."""
    found = {}
    for model in apps.get_models():
        config = apps.get_app_config(model._meta.app_label)
        if config.name in settings.SHARED_APPS and not model.__module__.startswith("django."):
            fields = [
                field for field in model._meta.concrete_fields if not isinstance(field, DateTimeField | BinaryField)
            ]
            columns = [field.column for field in fields if not _differs_anyway(field)]
            names = ", ".join(f'"{column}"' for column in columns)
            with connection.cursor() as cursor:
                cursor.execute(f'SELECT {names} FROM "{model._meta.db_table}"')  # noqa: S608 -- names of models
                found[model._meta.label] = sorted(map(repr, cursor.fetchall()))
    return found


def _differs_anyway(field: Any) -> bool:
    return isinstance(field, DateTimeField | BinaryField) or field.name in VOLATILE
