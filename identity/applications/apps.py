from django.apps import AppConfig


class ApplicationsConfig(AppConfig):
    name = "identity.applications"
    label = "applications"

    def ready(self) -> None:
        from identity.applications.models import Application, Consent
        from tenants.lifecycle.belongings import Belonging, belong

        belong(
            # Without their secrets: where one is restored, it gets a new one.
            Belonging(model=Application, accounts=["created_by"]),
            # What people agreed to, they agree to anew: their applications have no sessions there either.
            Belonging(model=Consent, is_exported=False),
        )
