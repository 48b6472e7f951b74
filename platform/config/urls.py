"""What answers on the API hosts: all that a tenant's host answers, and the operator API."""

from django.urls import include, path

from config.urls_tenant import handler400, handler403, handler404, handler500
from config.urls_tenant import urlpatterns as tenant_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [*tenant_urlpatterns, path("operator/v1/", include("operators.urls"))]
