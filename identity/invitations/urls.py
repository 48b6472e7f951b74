from django.urls import path

from identity.invitations.api import InvitationViewSet

urlpatterns = [
    path("invitations", InvitationViewSet.as_view({"get": "list", "post": "create"}), name="invitation-list"),
    path("invitations/bulk", InvitationViewSet.as_view({"post": "create_many"}), name="invitation-bulk"),
    path("invitations/<uuid:pk>", InvitationViewSet.as_view({"get": "retrieve"}), name="invitation-detail"),
    path("invitations/<uuid:pk>/resend", InvitationViewSet.as_view({"post": "resend"}), name="invitation-resend"),
    path("invitations/<uuid:pk>/revoke", InvitationViewSet.as_view({"post": "revoke"}), name="invitation-revoke"),
]
