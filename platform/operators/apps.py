from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    name = "operators"

    def ready(self) -> None:
        from identity.accounts.signals import account_deactivated, account_deleting
        from identity.mail import templates
        from jobs import schedule
        from operators import receivers, support
        from operators.models import SupportAccess
        from tenants.lifecycle.belongings import Belonging, belong

        account_deleting.connect(receivers.refuse_staff, dispatch_uid="operators")
        account_deactivated.connect(receivers.keep_an_admin, dispatch_uid="operators")
        belong(Belonging(model=SupportAccess, is_exported=False))
        templates.register(support.REQUESTED_MAIL, support.mail_variables)
        templates.register(support.STARTED_MAIL, support.mail_variables)
        schedule.add("support", schedule.Entry("* * * * *", support.note_all_overdue))
