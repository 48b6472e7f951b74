from django.urls import path

from identity.sso.api import ConnectionViewSet, MemberIdentityViewSet
from identity.sso.api_sign_in import DiscoverView, StartView
from identity.sso.api_trials import TestConnectionView, TrialResultView

_ONE = "sso-connections/<uuid:pk>"
_IDENTITIES = "sso-connections/<uuid:connection_id>/identities"

urlpatterns = [
    path("auth/discover", DiscoverView.as_view(), name="auth-discover"),
    path("auth/sso/start", StartView.as_view(), name="auth-sso-start"),
    path("sso-connections", ConnectionViewSet.as_view({"get": "list", "post": "create"}), name="sso-connection-list"),
    path(
        _ONE,
        ConnectionViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="sso-connection-detail",
    ),
    path(f"{_ONE}/enable", ConnectionViewSet.as_view({"post": "enable"}), name="sso-connection-enable"),
    path(f"{_ONE}/disable", ConnectionViewSet.as_view({"post": "disable"}), name="sso-connection-disable"),
    path(f"{_ONE}/test", TestConnectionView.as_view(), name="sso-connection-test"),
    path(f"{_ONE}/test/result", TrialResultView.as_view(), name="sso-connection-test-result"),
    path(_IDENTITIES, MemberIdentityViewSet.as_view({"get": "list"}), name="sso-identity-list"),
    path(f"{_IDENTITIES}/<uuid:pk>", MemberIdentityViewSet.as_view({"delete": "destroy"}), name="sso-identity-detail"),
]
