from django.apps import AppConfig


class OAuthConfig(AppConfig):
    name = "identity.oauth"
    label = "oauth"
