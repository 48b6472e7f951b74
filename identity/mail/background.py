"""Sending mail in the background of a process that serves: one thread, which begins with the process' first mail.

So it begins after the process was forked, and a process that has nothing to send has none. A mail that another process
left is taken by whoever looks next: with the next mail, within a minute, or ``manage.py send_mail``.
"""

import atexit
import logging
import os
import threading
from contextlib import closing

from django.conf import settings
from django.db import connections

from identity.mail.delivery import deliveries

_SECONDS_BETWEEN_LOOKS = 60
_SECONDS_TO_STOP = 15  # a little longer than one mail may take

log = logging.getLogger(__name__)


class Sender:
    """The thread, once there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_news = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Look into the outbox now."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()
        self._has_news.set()

    def stop(self) -> None:
        """End with the mail at hand. What is left is for others."""
        self._is_over = True
        self._has_news.set()
        if self._thread is not None:
            self._thread.join(_SECONDS_TO_STOP)

    def _run(self) -> None:
        while True:
            self._has_news.wait(_SECONDS_BETWEEN_LOOKS)
            self._has_news.clear()
            if self._is_over:
                return
            self._look()

    def _look(self) -> None:
        try:
            with closing(deliveries()) as outcomes:
                while not self._is_over and next(outcomes, None) is not None:
                    pass
        except Exception:
            log.exception("Mail is not being sent; the next look is in a minute.")
        finally:
            connections.close_all()  # a connection is not kept for a minute's sleep


def wake() -> None:
    """Have the outbox looked into soon, where ``settings.MAIL_DELIVERY`` leaves that to the serving processes."""
    if settings.MAIL_DELIVERY == "thread":
        _sender.wake()


def stop() -> None:
    """End the background sending of this process, with the mail at hand."""
    global _sender
    sender, _sender = _sender, Sender()
    sender.stop()


def _begin_afresh() -> None:
    """Forget the parent's thread, which a fork does not take along."""
    global _sender  # noqa: PLW0603 -- as above
    _sender = Sender()


_sender = Sender()
os.register_at_fork(after_in_child=_begin_afresh)
atexit.register(stop)
