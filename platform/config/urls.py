"""What answers on the API hosts: all that a tenant's host answers, what is published about us, and the operator API."""

from django.urls import include, path

from config.urls_tenant import handler400, handler403, handler404, handler500
from config.urls_tenant import urlpatterns as tenant_urlpatterns
from identity.oauth.api import MetadataView

__all__ = ["handler400", "handler403", "handler404", "handler500", "operator_api", "published", "urlpatterns"]

# RFC 8414 section 3.3: metadata is the issuer's, and a tenant's host is none.
published = [
    path("", include("identity.keys.urls")),
    path(".well-known/oauth-authorization-server", MetadataView.as_view(), name="oauth-metadata"),
]
operator_api = [path("operator/v1/", include("operators.urls"))]

urlpatterns = [*tenant_urlpatterns, *published, *operator_api]
