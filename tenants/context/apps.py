from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ContextConfig(AppConfig):
    name = "tenants.context"
    label = "tenant_context"

    def ready(self) -> None:
        from tenants.context import checks, entrances  # noqa: F401 -- importing checks registers them

        # Django sends the signal for apps with models only; this one has none.
        post_migrate.connect(
            entrances.build_after_migrating, sender=apps.get_app_config("registry"), dispatch_uid="tenants.entrances"
        )
