from django.urls import path

from identity.tokens.api import LoginView, LogoutView, RefreshView, StepUpView, SwitchView, VerifyView
from identity.tokens.api_factors import EnrollView, PasskeyOptionsView, PasskeySignInView, SecondFactorView
from identity.tokens.api_federated import FederatedView
from identity.tokens.api_invitations import AcceptInvitationView
from identity.tokens.api_policy import SignInPolicyView

urlpatterns = [
    path("auth/login", LoginView.as_view(), name="auth-login"),
    path("auth/second-factor", SecondFactorView.as_view(), name="auth-second-factor"),
    path("auth/second-factor/enroll", EnrollView.as_view(), name="auth-second-factor-enroll"),
    path("auth/passkey/options", PasskeyOptionsView.as_view(), name="auth-passkey-options"),
    path("auth/passkey", PasskeySignInView.as_view(), name="auth-passkey"),
    path("auth/federated", FederatedView.as_view(), name="auth-federated"),
    path("auth/refresh", RefreshView.as_view(), name="auth-refresh"),
    path("auth/switch", SwitchView.as_view(), name="auth-switch"),
    path("auth/step-up", StepUpView.as_view(), name="auth-step-up"),
    path("auth/verify", VerifyView.as_view(), name="auth-verify"),
    path("auth/logout", LogoutView.as_view(), name="auth-logout"),
    path("invitations/accept", AcceptInvitationView.as_view(), name="invitation-accept"),
    path("tenant/sign-in-policy", SignInPolicyView.as_view(), name="sign-in-policy"),
]
