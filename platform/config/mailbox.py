"""Mail in development: nothing leaves the machine. Each one is printed as it is read, and kept whole under
``DATA_DIR/mail``.
"""

import sys
import time
from collections.abc import Sequence
from email.message import EmailMessage, Message

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage as DjangoMessage


class DevelopmentBackend(BaseEmailBackend):
    """Django's mail backend of the development settings (``EMAIL_BACKEND``)."""

    def send_messages(self, email_messages: Sequence[DjangoMessage]) -> int:
        """Print and keep messages, and return how many."""
        folder = settings.DATA_DIR / "mail"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            whole = message.message()
            (folder / f"{time.time_ns()}.eml").write_bytes(whole.as_bytes())
            print(_as_read(message, whole), file=sys.stdout, flush=True)  # noqa: T201 -- the terminal is the mailbox
        return len(email_messages)


def _as_read(message: DjangoMessage, whole: Message | EmailMessage) -> str:
    line = "─" * 78
    return f"{line}\nMail to {', '.join(message.to)}: {whole['Subject']}\n\n{message.body}{line}"
