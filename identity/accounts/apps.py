from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "identity.accounts"
    label = "accounts"

    def ready(self) -> None:
        from identity.accounts import checks, mails  # noqa: F401 -- importing the checks registers them

        mails.register()
