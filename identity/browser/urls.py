from django.urls import path

from identity.browser.providers import RETURN_PATH
from identity.browser.views import AccountPage, ProviderPage, ReturnPage, SignInPage, SignOutPage

urlpatterns = [
    path("sign-in", SignInPage.as_view(), name="sign-in"),
    path("sign-in/provider", ProviderPage.as_view(), name="sign-in-provider"),
    path(RETURN_PATH.removeprefix("/"), ReturnPage.as_view(), name="sign-in-return"),
    path("sign-out", SignOutPage.as_view(), name="sign-out"),
    path("account", AccountPage.as_view(), name="account"),
]
