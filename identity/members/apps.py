from functools import partial

from django.apps import AppConfig
from django.db.models import Q


class MembersConfig(AppConfig):
    name = "identity.members"
    label = "members"

    def ready(self) -> None:
        from identity.accounts.signals import account_deleting
        from identity.members import receivers, services
        from identity.members.models import BarredAddress, Membership
        from identity.roles.signals import role_changed, role_deleting
        from permissions.roles import Role
        from permissions.versions import first_version
        from tenants.lifecycle.belongings import Belonging, belong, register_people
        from tenants.registry.signals import sign_in_policy_changing

        role_changed.connect(receivers.move_versions, dispatch_uid="identity.members")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.members")
        sign_in_policy_changing.connect(receivers.move_all_versions, dispatch_uid="identity.members")
        account_deleting.connect(receivers.leave_everywhere, dispatch_uid="identity.members")
        belong(
            # Postgres refuses to let the last owner go as long as the tenant is there.
            Belonging(
                model=Membership,
                is_cloned_with_members=True,
                fresh={"version": first_version},
                stays=Q(role=Role.OWNER),
            ),
            Belonging(model=BarredAddress),
        )
        register_people(make_owner=partial(services.add_member, role=Role.OWNER, reason="created"))
