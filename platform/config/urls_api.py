"""What answers on the API hosts where operators have a host of their own: all that a tenant's host answers, and what is
published about us.
"""

from django.urls import include, path

from config.health import MetricsView
from config.urls_tenant import handler400, handler403, handler404, handler500
from config.urls_tenant import urlpatterns as tenant_urlpatterns
from identity.oauth.metadata import MetadataView, OpenIdMetadataView

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

# RFC 8414 section 3.3: metadata is the issuer's, and a tenant's host is none.
_published = [
    path("", include("identity.keys.urls")),
    path("auth/social/", include("identity.social.urls_published")),
    path("auth/sso/", include("identity.sso.urls_published")),
    path(".well-known/oauth-authorization-server", MetadataView.as_view(), name="oauth-metadata"),
    path(".well-known/openid-configuration", OpenIdMetadataView.as_view(), name="openid-metadata"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]

urlpatterns = [*tenant_urlpatterns, *_published]
