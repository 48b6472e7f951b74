from django.urls import path

from identity.applications.api import ApplicationViewSet
from identity.applications.api_mine import AuthorizedApplicationViewSet

urlpatterns = [
    path("applications", ApplicationViewSet.as_view({"get": "list", "post": "create"}), name="application-list"),
    path(
        "applications/<uuid:pk>",
        ApplicationViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="application-detail",
    ),
    path(
        "applications/<uuid:pk>/secrets",
        ApplicationViewSet.as_view({"post": "add_secret"}),
        name="application-secret-list",
    ),
    path(
        "applications/<uuid:pk>/secrets/<uuid:secret_pk>",
        ApplicationViewSet.as_view({"delete": "destroy_secret"}),
        name="application-secret-detail",
    ),
    path(
        "me/authorized-applications",
        AuthorizedApplicationViewSet.as_view({"get": "list"}),
        name="me-authorized-application-list",
    ),
    path(
        "me/authorized-applications/<uuid:pk>",
        AuthorizedApplicationViewSet.as_view({"delete": "destroy"}),
        name="me-authorized-application-detail",
    ),
]
