"""System checks: every shared model says what tenants reach of it, in columns that it has."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db.models import Model

from tenants.wall import openings


@register(Tags.models)
def check_openings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each shared model without a declaration, and for each declaration that names no column."""
    return [error for model in _shared_models() for error in _check(model)]


def _shared_models() -> Iterator[type[Model]]:
    for config in apps.get_app_configs():
        if config.name in settings.SHARED_APPS and config.label not in openings.CLOSED_APPS:
            yield from config.get_models(include_auto_created=True)


def _check(model: type[Model]) -> Iterator[CheckMessage]:
    declared, people = openings.declared(), openings.declared_to_people()
    if model._meta.db_table not in declared:
        yield Error(
            f"{model._meta.label} is shared, and does not say what tenants reach of it.",
            hint="Put @closed over it, or @opened(...): see tenants/wall/openings.py.",
            obj=model,
            id="tenants.E004",
        )
    for opening in filter(None, (declared.get(model._meta.db_table), people.get(model._meta.db_table))):
        columns = {field.column for field in model._meta.concrete_fields}
        for column in sorted({*opening.select, *opening.insert, *opening.update} - columns):
            yield Error(f"{model._meta.label} opens {column!r}, which it does not have.", obj=model, id="tenants.E005")
