"""Below ``/auth/sso`` on the API's own host: what providers ask, and where they send people."""

from django.urls import path

from identity.sso.api_published import BackchannelLogoutView, InitiateView, SsoCallbackView

urlpatterns = [
    path("callback", SsoCallbackView.as_view(), name="sso-callback"),
    path("<uuid:pk>/initiate", InitiateView.as_view(), name="sso-initiate"),
    path("<uuid:pk>/backchannel-logout", BackchannelLogoutView.as_view(), name="sso-backchannel-logout"),
]
