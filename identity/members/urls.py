from django.urls import path

from identity.members.api import MemberViewSet, MyTenantsView, TransferOwnershipView

urlpatterns = [
    path("members", MemberViewSet.as_view({"get": "list"}), name="member-list"),
    path(
        "members/<uuid:pk>",
        MemberViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="member-detail",
    ),
    path("members/<uuid:pk>/suspend", MemberViewSet.as_view({"post": "suspend"}), name="member-suspend"),
    path("members/<uuid:pk>/reactivate", MemberViewSet.as_view({"post": "reactivate"}), name="member-reactivate"),
    path("members/leave", MemberViewSet.as_view({"post": "leave"}), name="member-leave"),
    path("tenant/transfer-ownership", TransferOwnershipView.as_view(), name="tenant-transfer-ownership"),
    path("me/tenants", MyTenantsView.as_view(), name="me-tenants"),
]
