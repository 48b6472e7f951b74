from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "identity.members"
    label = "members"

    def ready(self) -> None:
        from identity.accounts.signals import account_deleting
        from identity.members import receivers
        from identity.roles.signals import role_changed, role_deleting

        role_changed.connect(receivers.move_versions, dispatch_uid="identity.members")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.members")
        account_deleting.connect(receivers.leave_everywhere, dispatch_uid="identity.members")
