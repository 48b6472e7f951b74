from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "tenants.fleet"
    label = "tenant_fleet"

    def ready(self) -> None:
        from tenants.fleet.models import DriftedTenant, FleetEntry
        from tenants.lifecycle.belongings import Belonging, belong

        belong(Belonging(model=FleetEntry, is_exported=False), Belonging(model=DriftedTenant, is_exported=False))
