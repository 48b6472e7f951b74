from django.apps import AppConfig


class RolesConfig(AppConfig):
    name = "identity.roles"
    label = "roles"

    def ready(self) -> None:
        from identity.roles.models import CustomRole
        from tenants.lifecycle.belongings import Belonging, belong

        belong(Belonging(model=CustomRole, is_cloned=True))
