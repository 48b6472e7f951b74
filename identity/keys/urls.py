from django.urls import path

from identity.keys.api import JwksView

urlpatterns = [path(".well-known/jwks.json", JwksView.as_view(), name="jwks")]
