from django.apps import AppConfig


class FactorsConfig(AppConfig):
    name = "identity.factors"
    label = "factors"

    def ready(self) -> None:
        import logging

        from identity.factors import mails

        mails.register()
        logging.getLogger("fido2").setLevel(logging.WARNING)  # it logs whose passkey is used, by its id
