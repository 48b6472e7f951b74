from django.apps import AppConfig


class InvitationsConfig(AppConfig):
    name = "identity.invitations"
    label = "invitations"

    def ready(self) -> None:
        from identity.invitations import receivers, services
        from identity.invitations.models import Invitation
        from identity.keys.computed import generate_row_secret
        from identity.mail import templates
        from identity.roles.signals import role_changed, role_deleting
        from tenants.lifecycle.belongings import Belonging, belong

        role_changed.connect(receivers.follow_name, dispatch_uid="identity.invitations")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.invitations")
        templates.register(services.MAIL, services.mail_variables)
        # With another secret: what was mailed is void, and sending it again makes a good one.
        fresh = {"secret": generate_row_secret}
        belong(Belonging(model=Invitation, fresh=fresh, accounts=["invited_by", "accepted_by"]))
