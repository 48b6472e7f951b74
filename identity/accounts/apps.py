from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "identity.accounts"
    label = "accounts"

    def ready(self) -> None:
        from identity.accounts import checks, mails, moving  # noqa: F401 -- importing the checks registers them
        from identity.accounts.models import User
        from tenants.lifecycle.belongings import register_people

        mails.register()
        register_people(model=User, describe=moving.describe, settle=moving.settle)
