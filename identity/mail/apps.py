from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "identity.mail"
    label = "mail"

    def ready(self) -> None:
        from identity.mail import checks  # noqa: F401 -- importing registers them
        from identity.mail.models import OutgoingMail
        from tenants.lifecycle.belongings import Belonging, belong

        belong(Belonging(model=OutgoingMail, is_exported=False))
