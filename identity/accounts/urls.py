from django.urls import path

from identity.accounts.api import MeView, PasswordChangeView, RegisterView
from identity.accounts.api_mail import (
    EmailChangeView,
    EmailResendView,
    EmailVerifyView,
    PasswordForgotView,
    PasswordResetView,
)

urlpatterns = [
    path("auth/register", RegisterView.as_view(), name="auth-register"),
    path("auth/email/verify", EmailVerifyView.as_view(), name="auth-email-verify"),
    path("auth/email/resend", EmailResendView.as_view(), name="auth-email-resend"),
    path("auth/email/change", EmailChangeView.as_view(), name="auth-email-change"),
    path("auth/password/change", PasswordChangeView.as_view(), name="auth-password-change"),
    path("auth/password/forgot", PasswordForgotView.as_view(), name="auth-password-forgot"),
    path("auth/password/reset", PasswordResetView.as_view(), name="auth-password-reset"),
    path("me", MeView.as_view(), name="me"),
]
