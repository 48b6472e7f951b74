from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "identity.domains"
    label = "domains"

    def ready(self) -> None:
        from identity.accounts.signals import email_verified
        from identity.domains import checks, receivers  # noqa: F401 -- importing the checks registers them
        from identity.domains.models import UNPROVED, DomainClaim
        from identity.roles.signals import role_changed, role_deleting
        from tenants.lifecycle.belongings import Belonging, belong

        role_changed.connect(receivers.follow_role, dispatch_uid="identity.domains")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.domains")
        email_verified.connect(receivers.join, dispatch_uid="identity.domains")
        belong(Belonging(model=DomainClaim, fresh=UNPROVED))
