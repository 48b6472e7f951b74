"""A mail server on the loopback interface, and what it was given."""

import asyncio
import email
import email.policy
import logging
import re
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings as django_settings

from identity.mail.models import OutgoingMail
from tests.running_demo import free_port

_SECONDS = 10

logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's


class MailServer:
    """A mail server that can be stopped and started again on its port.

    Attributes:
        messages: what it took, in order.
        refused: addresses that it refuses to know.
        is_stalled: it takes messages, and does not say so.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.messages: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.is_stalled = threading.Event()
        self.has_stalled = threading.Event()
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[EmailMessage]:
        """What was sent to an address."""
        return [message for message in self.messages if message["To"] == address]

    def wait_for(self, count: int) -> list[EmailMessage]:
        """Wait until so many messages are there, and return them."""
        deadline = time.monotonic() + _SECONDS
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} messages of {count} came."
            time.sleep(0.02)
        return self.messages

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        if self.is_stalled.is_set():
            self.has_stalled.set()
            await asyncio.sleep(3600)
        assert isinstance(envelope.content, bytes)
        content = envelope.content.replace(b"\r\n", b"\n")
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert message["To"] == ", ".join(envelope.rcpt_tos)  # nobody else gets it
        self.messages.append(message)
        return "250 OK"


@pytest.fixture
def smtp(settings: Any, django_db_setup: None, django_db_blocker: Any) -> Iterator[MailServer]:
    """A running mail server to which this process sends, and an empty outbox."""
    server = MailServer()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    with django_db_blocker.unblock():
        OutgoingMail.objects.using("owner").all().delete()  # other tests leave theirs
    yield server
    server.stop()


def text_of(message: EmailMessage) -> str:
    """The text of a message."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(message: EmailMessage) -> str:
    """The HTML of a message."""
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def token_of(message: EmailMessage) -> str:
    """The token that a message shows, after seeing that its link has the same one, in both parts."""
    text = text_of(message)
    (token,) = re.findall(r"^(t[a-z]_[A-Za-z0-9_-]+)$", text, re.MULTILINE)
    (link,) = re.findall(r"^(http\S+)#token=", text, re.MULTILINE)
    assert link.startswith(django_settings.FRONTEND_URL)
    assert f"{link}#token={token}\n" in text
    assert f'href="{link}#token={token}"' in html_of(message)
    return str(token)
