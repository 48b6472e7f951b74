from django.urls import path

from identity.clients.api import ClientViewSet

urlpatterns = [
    path("clients", ClientViewSet.as_view({"get": "list", "post": "create"}), name="client-list"),
    path(
        "clients/<uuid:pk>",
        ClientViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="client-detail",
    ),
    path("clients/<uuid:pk>/secrets", ClientViewSet.as_view({"post": "add_secret"}), name="client-secret-list"),
    path(
        "clients/<uuid:pk>/secrets/<uuid:secret_pk>",
        ClientViewSet.as_view({"delete": "destroy_secret"}),
        name="client-secret-detail",
    ),
]
