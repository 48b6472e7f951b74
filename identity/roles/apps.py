from django.apps import AppConfig


class RolesConfig(AppConfig):
    name = "identity.roles"
    label = "roles"
