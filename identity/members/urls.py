from django.urls import path

from identity.members.api import MemberViewSet, MyTenantsView

urlpatterns = [
    path("members", MemberViewSet.as_view({"get": "list"}), name="member-list"),
    path(
        "members/<uuid:pk>",
        MemberViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="member-detail",
    ),
    path("me/tenants", MyTenantsView.as_view(), name="me-tenants"),
]
