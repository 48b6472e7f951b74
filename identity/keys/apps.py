from django.apps import AppConfig
from django.db.models.signals import post_migrate


class KeysConfig(AppConfig):
    name = "identity.keys"
    label = "keys"

    def ready(self) -> None:
        from identity.keys import services

        # A deploy that has migrated can sign: the first key needs no step of its own.
        post_migrate.connect(services.ensure_key_after_migrating, sender=self, dispatch_uid="identity.keys")
