from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    name = "operators"

    def ready(self) -> None:
        from identity.accounts.signals import account_deleting
        from operators import receivers

        account_deleting.connect(receivers.refuse_staff, dispatch_uid="operators")
