from django.apps import AppConfig


class BrowserConfig(AppConfig):
    name = "identity.browser"
    label = "browser"
