"""The host's tenant from the cache."""

from django.core.cache import cache
from django_tenants.middleware.main import TenantMainMiddleware

from tests.benchmarks.peers.stock.models import Tenant


class CachedTenantMiddleware(TenantMainMiddleware):
    def get_tenant(self, domain_model: object, hostname: str) -> Tenant:
        found = cache.get(hostname)
        if found is None:
            found = super().get_tenant(domain_model, hostname)
            cache.set(hostname, found, 60)
        return found
