from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "identity.domains"
    label = "domains"

    def ready(self) -> None:
        from identity.accounts.signals import email_verified
        from identity.domains import checks, receivers  # noqa: F401 -- importing the checks registers them
        from identity.roles.signals import role_changed, role_deleting

        role_changed.connect(receivers.follow_role, dispatch_uid="identity.domains")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.domains")
        email_verified.connect(receivers.join, dispatch_uid="identity.domains")
