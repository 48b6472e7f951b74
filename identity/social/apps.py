from django.apps import AppConfig


class SocialConfig(AppConfig):
    name = "identity.social"
    label = "social"
