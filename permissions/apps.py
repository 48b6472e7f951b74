from django.apps import AppConfig


class PermissionsConfig(AppConfig):
    name = "permissions"
    label = "tenantry_permissions"  # other packages are called `permissions` too

    def ready(self) -> None:
        from permissions import checks  # noqa: F401 -- importing registers them
