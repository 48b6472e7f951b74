from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "identity.sso"
    label = "sso"
