from django.urls import path

from identity.roles.api import RoleViewSet, ScopesView

urlpatterns = [
    path("roles", RoleViewSet.as_view({"get": "list", "post": "create"}), name="role-list"),
    path(
        "roles/<uuid:pk>",
        RoleViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="role-detail",
    ),
    path("scopes", ScopesView.as_view(), name="scope-list"),
]
