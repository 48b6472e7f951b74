from django.urls import path

from identity.social.api import LinkedIdentityViewSet, ProvidersView, StartView

_ME = "me/identities"

urlpatterns = [
    path("auth/social/providers", ProvidersView.as_view(), name="auth-social-providers"),
    path("auth/social/<slug:key>/start", StartView.as_view(), name="auth-social-start"),
    path(_ME, LinkedIdentityViewSet.as_view({"get": "list", "post": "create"}), name="me-identity-list"),
    path(f"{_ME}/<slug:key>/start", LinkedIdentityViewSet.as_view({"post": "start"}), name="me-identity-start"),
    path(f"{_ME}/<uuid:pk>", LinkedIdentityViewSet.as_view({"delete": "destroy"}), name="me-identity-detail"),
]
