"""What answers on ``settings.OPERATOR_HOST``: the operator API with its documentation, and nothing of any tenant."""

from django.urls import include, path

from config import docs, health
from config.routes import IndexedResolver
from config.urls_tenant import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "operator_api", "urlpatterns"]

operator_api = [IndexedResolver("operator/v1/", [path("", include("operators.urls"))])]

urlpatterns = [
    *operator_api,
    path("health/live", health.LiveView.as_view(), name="health-live"),
    path("health/ready", health.ReadyView.as_view(), name="health-ready"),
    *docs.urlpatterns(),
]
