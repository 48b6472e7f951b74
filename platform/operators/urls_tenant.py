"""What tenants say about platform staff: part of the tenant API."""

from django.urls import path

from operators.api_consent import ConsentViewSet, SupportPolicyView

urlpatterns = [
    path("support-access", ConsentViewSet.as_view({"get": "list"}), name="support-access-list"),
    path("support-access/policy", SupportPolicyView.as_view(), name="support-access-policy"),
    path("support-access/<uuid:pk>", ConsentViewSet.as_view({"get": "retrieve"}), name="support-access-detail"),
    path(
        "support-access/<uuid:pk>/approve", ConsentViewSet.as_view({"post": "approve"}), name="support-access-approve"
    ),
    path("support-access/<uuid:pk>/deny", ConsentViewSet.as_view({"post": "deny"}), name="support-access-deny"),
    path("support-access/<uuid:pk>/end", ConsentViewSet.as_view({"post": "end"}), name="support-access-end"),
]
