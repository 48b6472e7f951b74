from django.urls import path

from identity.factors.api import SecondFactorViewSet as View

_ME = "me/second-factors"

urlpatterns = [
    path(_ME, View.as_view({"get": "list"}), name="me-second-factor-list"),
    path(f"{_ME}/totp", View.as_view({"post": "begin_totp"}), name="me-second-factor-totp"),
    path(f"{_ME}/totp/confirm", View.as_view({"post": "confirm_totp"}), name="me-second-factor-totp-confirm"),
    path(f"{_ME}/passkeys/options", View.as_view({"post": "begin_passkey"}), name="me-second-factor-passkey-options"),
    path(f"{_ME}/passkeys", View.as_view({"post": "add_passkey"}), name="me-second-factor-passkeys"),
    path(
        f"{_ME}/recovery-codes",
        View.as_view({"post": "renew_recovery_codes"}),
        name="me-second-factor-recovery-codes",
    ),
    path(
        f"{_ME}/<uuid:pk>",
        View.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="me-second-factor-detail",
    ),
]
