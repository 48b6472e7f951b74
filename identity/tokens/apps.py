from django.apps import AppConfig


class TokensConfig(AppConfig):
    name = "identity.tokens"
    label = "identity_tokens"

    def ready(self) -> None:
        from identity.tokens import liveness  # noqa: F401 -- importing declares its entrances
