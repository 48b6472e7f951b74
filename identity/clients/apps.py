from django.apps import AppConfig


class ClientsConfig(AppConfig):
    name = "identity.clients"
    label = "clients"

    def ready(self) -> None:
        from identity.clients.models import Client
        from permissions.versions import first_version
        from tenants.lifecycle.belongings import Belonging, belong

        # Without their secrets: where one is restored, it gets a new one.
        belong(Belonging(model=Client, fresh={"version": first_version}, accounts=["created_by"]))
