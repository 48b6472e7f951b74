from django.urls import path

from identity.oauth.api import IntrospectView, RevokeView, TokenView
from identity.oauth.pages import AuthorizePage, ConsentPage
from identity.oauth.userinfo import UserInfoView

urlpatterns = [
    path("oauth/authorize", AuthorizePage.as_view(), name="oauth-authorize"),
    path("oauth/consent", ConsentPage.as_view(), name="oauth-consent"),
    path("oauth/token", TokenView.as_view(), name="oauth-token"),
    path("oauth/userinfo", UserInfoView.as_view(), name="oauth-userinfo"),
    path("oauth/introspect", IntrospectView.as_view(), name="oauth-introspect"),
    path("oauth/revoke", RevokeView.as_view(), name="oauth-revoke"),
]
