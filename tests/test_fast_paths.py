"""What is done the fast way gives what Django's and DRF's own ways give."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from django.utils import timezone
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
