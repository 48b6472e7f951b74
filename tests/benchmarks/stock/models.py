"""Tenants as django-tenants' tutorial has them."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class StockTenant(TenantMixin):
    name = models.CharField(max_length=100)
    auto_create_schema = True


class StockDomain(DomainMixin):
    pass
