from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "identity.sessions"
    label = "identity_sessions"  # Django's own app is called `sessions`

    def ready(self) -> None:
        from identity.accounts.signals import account_deactivated, password_changed
        from identity.factors.signals import factor_added
        from identity.sessions import services
        from identity.sessions.models import RefreshFamily, Session
        from tenants.lifecycle.belongings import Belonging, belong

        password_changed.connect(services.end_after_password_change, dispatch_uid="identity.sessions")
        account_deactivated.connect(services.end_after_deactivation, dispatch_uid="identity.sessions")
        factor_added.connect(services.note_new_factor, dispatch_uid="identity.sessions")
        belong(Belonging(model=Session, is_exported=False), Belonging(model=RefreshFamily, is_exported=False))
