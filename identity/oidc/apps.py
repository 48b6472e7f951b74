from django.apps import AppConfig


class OidcConfig(AppConfig):
    name = "identity.oidc"
    label = "oidc"
