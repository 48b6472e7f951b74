from django.urls import path

from identity.accounts.api import MeView, PasswordChangeView, RegisterView

urlpatterns = [
    path("auth/register", RegisterView.as_view(), name="auth-register"),
    path("auth/password/change", PasswordChangeView.as_view(), name="auth-password-change"),
    path("me", MeView.as_view(), name="me"),
]
