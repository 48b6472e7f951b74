from django.apps import AppConfig


class FactorsConfig(AppConfig):
    name = "identity.factors"
    label = "factors"
