from django.urls import path

from identity.tokens.api import LoginView, LogoutView, RefreshView, StepUpView, SwitchView, VerifyView
from identity.tokens.api_invitations import AcceptInvitationView

urlpatterns = [
    path("auth/login", LoginView.as_view(), name="auth-login"),
    path("auth/refresh", RefreshView.as_view(), name="auth-refresh"),
    path("auth/switch", SwitchView.as_view(), name="auth-switch"),
    path("auth/step-up", StepUpView.as_view(), name="auth-step-up"),
    path("auth/verify", VerifyView.as_view(), name="auth-verify"),
    path("auth/logout", LogoutView.as_view(), name="auth-logout"),
    path("invitations/accept", AcceptInvitationView.as_view(), name="invitation-accept"),
]
