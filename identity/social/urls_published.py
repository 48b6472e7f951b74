"""Below ``/auth/social`` on the API's own host: where providers send people back to."""

from django.urls import path

from identity.social.api import SocialCallbackView

urlpatterns = [path("callback", SocialCallbackView.as_view(), name="social-callback")]
