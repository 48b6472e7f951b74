from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "tenants.routing"
    label = "tenant_routing"

    def ready(self) -> None:
        from tenants.registry.signals import hosts_changed
        from tenants.routing import checks, directory  # noqa: F401 -- importing registers the checks

        hosts_changed.connect(directory.forget, dispatch_uid="tenants.routing")
