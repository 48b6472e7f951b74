from django.apps import AppConfig


class SocialConfig(AppConfig):
    name = "identity.social"
    label = "social"

    def ready(self) -> None:
        from identity.social import checks, mails, services  # noqa: F401 -- importing the checks registers them
        from identity.tokens import federated

        mails.register()
        federated.register(services.SIGN_IN, services.admit)
