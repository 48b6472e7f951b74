from django.apps import AppConfig


class ScimConfig(AppConfig):
    name = "identity.scim"
    label = "scim"

    def ready(self) -> None:
        from identity.roles.signals import role_changed, role_deleting
        from identity.scim import authentication, receivers  # noqa: F401 -- importing authentication declares its entrance
        from identity.scim.models import ScimGroup, ScimGroupMember, ScimToken, ScimUser
        from identity.sso.signals import role_settling
        from tenants.lifecycle.belongings import Belonging, belong

        role_changed.connect(receivers.follow_role, dispatch_uid="identity.scim")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.scim")
        role_settling.connect(receivers.is_in_charge, dispatch_uid="identity.scim")
        belong(
            # No file holds a token: where a tenant is restored, its directory gets another one.
            Belonging(model=ScimToken, is_exported=False),
            Belonging(model=ScimUser, is_cloned_with_members=True),
            Belonging(model=ScimGroup, is_cloned_with_members=True),
            Belonging(model=ScimGroupMember, is_cloned_with_members=True),
        )
