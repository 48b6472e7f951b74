"""What is done the fast way gives what Django's and DRF's own ways give."""

import copy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, SafeUUID, uuid1, uuid4

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from django.utils import timezone
from psycopg.types.uuid import UUIDLoader
from rest_framework import serializers

from examples.projects.api import ProjectSerializer
from examples.projects.models import Project
from tests.conftest import Call

TIMES = [
    "2026-11-25 20:00:00+00",
    "2026-11-25 20:00:00.1+00",
    "0001-01-01 00:00:00.000001+00",
    "9999-12-31 23:59:59+00",
]


class StockLoader(BaseTzLoader):  # type: ignore[misc]  # django-stubs do not have it
    timezone = UTC


@pytest.mark.parametrize(
    "text", [*TIMES, "infinity", "-infinity", "10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"]
)
def test_times_are_read_as_django_reads_them(db: None, text: str) -> None:
    def read(loader: type[Any] | None) -> Any:
        with connection.cursor() as cursor:
            if loader is not None:
                cursor.adapters.register_loader("timestamptz", loader)
            try:
                return cursor.execute(f"SELECT timestamptz '{text}'").fetchone()
            except psycopg.Error as error:
                return type(error), str(error)

    assert read(None) == read(StockLoader)


@pytest.mark.parametrize(
    "value", [UUID(int=0), UUID(int=2**128 - 1), UUID("19bf2b70-7b17-4df0-93c1-5e5ddadfc5ad"), uuid1(), uuid4()]
)
def test_uuids_are_read_as_the_driver_reads_them(db: None, value: UUID) -> None:
    def read(loader: type[Any] | None) -> Any:
        with connection.cursor() as cursor:
            if loader is not None:
                cursor.adapters.register_loader("uuid", loader)
            cursor.execute("SELECT %s::uuid, ARRAY[%s::uuid, NULL]", [value, value])
            return cursor.fetchone()

    assert read(None) == read(UUIDLoader) == (value, [value, None])
    (found, _) = read(None)
    assert (str(found), repr(found), hash(found)) == (str(value), repr(value), hash(value))
    assert (found.version, found.variant, found.is_safe) == (value.version, value.variant, SafeUUID.unknown)
    assert copy.deepcopy(found) == value
    with pytest.raises(TypeError):
        found.int = 1


@pytest.mark.parametrize("zone", ["UTC", "Europe/Lisbon"])
def test_rows_are_shown_as_drf_shows_them(zone: str) -> None:
    class Stock(serializers.ModelSerializer[Project]):
        class Meta(ProjectSerializer.Meta):
            pass

    moment = datetime(2026, 7, 1, 12, 0, 0, 5, UTC)
    row = Project(name="x", created_by=Project().id, created_at=moment, updated_at=moment.replace(microsecond=0))
    with timezone.override(zone):
        assert ProjectSerializer(row).data == Stock(row).data


def test_a_serializers_fields_are_its_own() -> None:
    first, second = ProjectSerializer(), ProjectSerializer()
    first.fields["name"].required = False
    first.fields["name"].error_messages["required"] = "changed"
    first.fields["status"].choices["more"] = "More"  # type: ignore[attr-defined]  # a ChoiceField
    assert second.fields["name"].required
    assert second.fields["name"].error_messages["required"] != "changed"
    assert second.fields["name"].parent is second


def test_an_answer_in_another_form_is_still_refused(call: Call) -> None:
    assert call("acme_viewer", "GET", "/api/v1/projects", HTTP_ACCEPT="text/html").status_code == 406
    assert call("acme_viewer", "GET", "/api/v1/projects?format=xml").status_code == 404
    assert call("acme_viewer", "GET", "/api/v1/projects", HTTP_ACCEPT="*/*").status_code == 200
