"""System checks: nothing can be in a tenant and shared at the same time."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from tenants.context.router import tenant_app_labels


@register(Tags.models)
def check_app_lists(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an app in both lists (its tables would silently fall back to ``public``) or in neither of them."""
    both = sorted(set(settings.SHARED_APPS) & set(settings.TENANT_APPS))
    neither = sorted(set(settings.INSTALLED_APPS) - set(settings.SHARED_APPS) - set(settings.TENANT_APPS))
    return [
        *(Error(f"{app} is in SHARED_APPS and in TENANT_APPS.", hint="Choose one.", id="tenants.E001") for app in both),
        *(Error(f"{app} is in no app list.", hint="Choose one.", id="tenants.E002") for app in neither),
        *_check_foreign_keys(),
    ]


def _check_foreign_keys() -> Iterator[CheckMessage]:
    """Refuse relations across the wall: they break export, restore, moving a tenant, and sharding."""
    inside = tenant_app_labels()
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            target = getattr(field, "remote_field", None) and field.related_model
            if not field.concrete or not target or isinstance(target, str):
                continue
            if (model._meta.app_label in inside) != (target._meta.app_label in inside):
                yield Error(
                    f"{model._meta.label}.{field.name} points across the schema boundary, to {target._meta.label}.",
                    hint="Store the other row's id as a plain UUID.",
                    obj=model,
                    id="tenants.E003",
                )
