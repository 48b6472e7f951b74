from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    name = "identity.onboarding"
    label = "onboarding"

    def ready(self) -> None:
        from identity.accounts.signals import email_verified
        from identity.onboarding import receivers

        email_verified.connect(receivers.create_wanted_tenant, dispatch_uid="identity.onboarding")
