from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "identity.members"
    label = "members"
