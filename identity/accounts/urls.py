from django.urls import path

from identity.accounts.api import MeView, RegisterView

urlpatterns = [
    path("auth/register", RegisterView.as_view(), name="auth-register"),
    path("me", MeView.as_view(), name="me"),
]
