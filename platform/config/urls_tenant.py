"""What answers on a tenant's own host."""

from importlib.util import find_spec

from django.conf import settings
from django.urls import include, path

from config import docs, health, mailed_links
from config.routes import IndexedResolver

# Each tenant app brings its own routes, in a module `urls`.
_tenant_apps = [path("", include(f"{app}.urls")) for app in settings.TENANT_APPS if find_spec(f"{app}.urls")]

urlpatterns = [
    IndexedResolver(
        "api/v1/",
        [
            path("", include("identity.accounts.urls")),
            path("", include("identity.tokens.urls")),
            path("", include("identity.roles.urls")),
            path("", include("identity.members.urls")),
            path("", include("identity.invitations.urls")),
            path("", include("identity.onboarding.urls")),
            path("", include("identity.domains.urls")),
            path("", include("identity.clients.urls")),
            path("", include("identity.sessions.urls")),
            path("", include("identity.factors.urls")),
            path("", include("identity.social.urls")),
            path("", include("identity.sso.urls")),
            path("", include("identity.applications.urls")),
            path("", include("identity.scim.urls")),
            path("", include("tenants.registry.urls")),
            path("", include("tenants.audit.urls")),
            path("", include("operators.urls_tenant")),
            *_tenant_apps,
        ],
    ),
    path("", include("identity.oauth.urls")),
    path("", include("identity.browser.urls")),
    path("scim/v2/", include("identity.scim.urls_scim")),
    path("health/live", health.LiveView.as_view(), name="health-live"),
    path("health/ready", health.ReadyView.as_view(), name="health-ready"),
    *mailed_links.urlpatterns(),
    *docs.urlpatterns(),
]

handler400 = "config.problems.bad_request"
handler403 = "config.problems.permission_denied"
handler404 = "config.problems.not_found"
handler500 = "config.problems.server_error"
