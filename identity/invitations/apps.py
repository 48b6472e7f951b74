from django.apps import AppConfig


class InvitationsConfig(AppConfig):
    name = "identity.invitations"
    label = "invitations"

    def ready(self) -> None:
        from identity.invitations import receivers, services
        from identity.mail import templates
        from identity.roles.signals import role_changed, role_deleting

        role_changed.connect(receivers.follow_name, dispatch_uid="identity.invitations")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.invitations")
        templates.register(services.MAIL, services.mail_variables)
