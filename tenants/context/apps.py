from django.apps import AppConfig


class ContextConfig(AppConfig):
    name = "tenants.context"
    label = "tenant_context"

    def ready(self) -> None:
        from tenants.context import checks  # noqa: F401 -- importing registers them
