from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    name = "operators"

    def ready(self) -> None:
        from identity.accounts.signals import account_deleting
        from operators import receivers
        from operators.models import SupportAccess
        from tenants.lifecycle.belongings import Belonging, belong

        account_deleting.connect(receivers.refuse_staff, dispatch_uid="operators")
        belong(Belonging(model=SupportAccess, is_exported=False))
