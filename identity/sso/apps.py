from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "identity.sso"
    label = "sso"

    def ready(self) -> None:
        from identity.domains.signals import proof_ended
        from identity.members.signals import owner_made
        from identity.roles.signals import role_changed, role_deleting
        from identity.sessions.signals import session_starting
        from identity.sso import flow, receivers
        from identity.sso.models import Connection, ConnectionStatus, GroupRole, MemberIdentity
        from identity.tokens import federated
        from tenants.lifecycle.belongings import Belonging, belong
        from tenants.registry.signals import sign_in_policy_changing

        role_changed.connect(receivers.follow_role, dispatch_uid="identity.sso")
        role_deleting.connect(receivers.take_replacement, dispatch_uid="identity.sso")
        session_starting.connect(receivers.admit_session, dispatch_uid="identity.sso")
        proof_ended.connect(receivers.end_at_domain, dispatch_uid="identity.sso")
        owner_made.connect(receivers.end_as_owner, dispatch_uid="identity.sso")
        sign_in_policy_changing.connect(receivers.refuse_policy, dispatch_uid="identity.sso")
        federated.register(flow.SIGN_IN, flow.admit)
        # No file holds a secret, nor who is who at a provider: a restored tenant tries its connections again.
        untried = {
            "client_secret": lambda: b"",
            "status": lambda: ConnectionStatus.DRAFT.value,
            "admits_owners": lambda: False,
            "tested_at": lambda: None,
        }
        belong(
            Belonging(model=Connection, fresh=untried),
            Belonging(model=GroupRole),
            Belonging(model=MemberIdentity, is_exported=False),
        )
