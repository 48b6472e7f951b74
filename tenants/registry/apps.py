from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RegistryConfig(AppConfig):
    name = "tenants.registry"
    label = "registry"

    def ready(self) -> None:
        from tenants.wall import services

        # Django sends the signal for apps with models only; the wall has none.
        post_migrate.connect(services.build_after_migrating, sender=self, dispatch_uid="tenants.wall")
