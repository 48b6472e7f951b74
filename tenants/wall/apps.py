from django.apps import AppConfig


class WallConfig(AppConfig):
    name = "tenants.wall"
    label = "tenant_wall"

    def ready(self) -> None:
        from tenants.wall import checks  # noqa: F401 -- importing registers them
