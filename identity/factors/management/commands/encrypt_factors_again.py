"""``manage.py encrypt_factors_again``: part of changing SECRET_KEY."""

from typing import Any

from django.core.management.base import BaseCommand

from identity.factors import services


class Command(BaseCommand):
    help = "Encrypt what authenticator apps' codes are computed from under the present SECRET_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Encrypted {services.seal_again()} secrets under the present SECRET_KEY.")
