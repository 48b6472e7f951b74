from django.apps import AppConfig


class LifecycleConfig(AppConfig):
    name = "tenants.lifecycle"
    label = "tenant_lifecycle"
