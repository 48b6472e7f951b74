"""Where queries may go: a tenant's tables are only for those who are inside a tenant."""

from functools import lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django_tenants.routers import TenantSyncRouter

from tenants.context.entry import in_tenant
from tenants.context.errors import OutsideTenant
from tenants.context.ownership import current_alias


@lru_cache(maxsize=1)
def tenant_app_labels() -> frozenset[str]:
    """Return the labels of the apps whose tables are in every tenant's schema."""
    configs = apps.get_app_configs()
    classes = {f"{config.__module__}.{type(config).__name__}": config.label for config in configs}
    names = {config.name: config.label for config in configs} | classes
    return frozenset(names[entry] for entry in settings.TENANT_APPS)


class TenantRouter(TenantSyncRouter):  # type: ignore[misc]  # django-tenants has no types
    """django-tenants' router, which decides what is migrated where; a gate in front of every tenant query; and the
    owner's connection while the owner is at work.
    """

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        return self._gate(model)

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return self._gate(model)

    def allow_relation(self, obj1: models.Model, obj2: models.Model, **hints: Any) -> bool:
        """Allow all: the two connections are two roles in one database."""
        return True

    def _gate(self, model: type[models.Model]) -> str:
        if model._meta.app_label in tenant_app_labels() and not in_tenant():
            raise OutsideTenant(f"{model._meta.label} belongs to a tenant: enter one with tenants.context.enter().")
        return current_alias()
