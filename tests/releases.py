"""Another release of the tenant app: the same tables, and migrations that a test writes."""

import secrets
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from tenants.lifecycle import template

Release = Callable[..., dict[str, str]]

HEAD = """
import uuid
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("projects", {before!r})]
"""
INITIAL = """
from importlib import import_module

Migration = import_module("examples.projects.migrations.0001_initial").Migration
"""
COLUMN = "operations = [migrations.AddField('project', 'note', models.TextField(null=True))]"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: object) -> Iterator[Release]:
    """``release("operations = [...]", ...)``: from here on the tenant app has these migrations after its first one,
    named 0002, 0003 and so on. Returns the environment in which other processes have them.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    overrides: list[override_settings] = []

    def begin(*bodies: str) -> dict[str, str]:
        package = f"release_{secrets.token_hex(4)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "0001_initial.py").write_text(INITIAL)
        before = "0001_initial"
        for number, body in enumerate(bodies, 2):
            lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
            (folder / f"{number:04}.py").write_text(HEAD.format(before=before) + lines + "\n")
            before = f"{number:04}"
        overrides.append(override_settings(MIGRATION_MODULES={"projects": package}))
        overrides[-1].enable()
        template.current_version.cache_clear()
        return {
            "DJANGO_SETTINGS_MODULE": "tests.later_settings",
            "TENANTRY_TEST_MIGRATIONS": f'{{"projects": "{package}"}}',
            "TENANTRY_TEST_PATH": str(tmp_path),
        }

    yield begin
    for override in reversed(overrides):
        override.disable()
    template.current_version.cache_clear()
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # pytest-django's
        template.ensure()
