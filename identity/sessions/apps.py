from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "identity.sessions"
    label = "identity_sessions"  # Django's own app is called `sessions`
