from django.apps import AppConfig


class ApplicationsConfig(AppConfig):
    name = "identity.applications"
    label = "applications"
