"""Sending what is in the outbox: at least once, each mail by one sender at a time."""

import logging
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from enum import StrEnum

from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from identity.mail import templates
from identity.mail.message import compose
from identity.mail.models import OutgoingMail

_FIRST_DELAY, _LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=1)

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a mail that was due."""

    SENT = "sent"
    DROPPED = "dropped"  # it is of no use any more
    FAILED = "failed"  # it stays, and is tried again later, or was given up


class ServerAway(Exception):
    """The mail server cannot be reached, or does not let us in."""


def due() -> QuerySet[OutgoingMail]:
    """Return what is to be sent now, the longest due first."""
    rows = OutgoingMail.objects.filter(failed_at=None, next_attempt_at__lte=timezone.now())
    return rows.order_by("next_attempt_at")


def numbers() -> tuple[int, int]:
    """Return how many mails wait to be sent, now or later, and how many were given up."""
    is_given_up = Q(failed_at__isnull=False)
    found = OutgoingMail.objects.aggregate(
        waiting=Count("pk", filter=~is_given_up), given_up=Count("pk", filter=is_given_up)
    )
    return found["waiting"], found["given_up"]


def deliver() -> Counter[Outcome]:
    """Send what is due, and return how many mails had which outcome."""
    return Counter(deliveries())


def deliveries() -> Generator[Outcome, None, None]:
    """Send what is due, one mail after the other, and yield what became of each.

    All go over one connection to the server. When it cannot be reached there is no point in trying the others: they
    stay due.
    """
    with closing(get_connection()) as server:
        while True:
            outcome, is_server_there = _deliver_next(server)
            if outcome is not None:
                yield outcome
            if outcome is None or not is_server_there:
                return


@transaction.atomic
def _deliver_next(server: BaseEmailBackend) -> tuple[Outcome | None, bool]:
    """Send one mail, and return what became of it, or None when nothing is due; and whether the server was there.

    The mail's row is locked while it is sent, so that nobody else sends it, and nothing else is: no request waits for a
    mail server. A sender that is killed leaves the row as it was.
    """
    mail = due().select_for_update(skip_locked=True).first()
    if mail is None:
        return None, True
    try:
        outcome = _send(mail, server)
    except Exception as error:  # noqa: BLE001 -- whatever a builder, a template or a server raises is about this one mail
        server.close()
        _put_off(mail, error)
        return Outcome.FAILED, not isinstance(error, ServerAway)
    mail.delete()
    return outcome, True


def _send(mail: OutgoingMail, server: BaseEmailBackend) -> Outcome:
    with transaction.atomic():  # should a builder's query fail, the mail can still be put off
        content = templates.build(mail.template, context=mail.context, email=mail.recipient)
    if content is None:
        return Outcome.DROPPED
    try:
        server.open()
    except Exception as error:
        raise ServerAway from error
    server.send_messages([compose(content, mail_id=mail.pk, recipient=mail.recipient)])
    return Outcome.SENT


def _put_off(mail: OutgoingMail, error: Exception) -> None:
    """Try a mail again later, ever later, and not at all after a day."""
    now = timezone.now()
    mail.attempts += 1
    mail.next_attempt_at = now + min(_FIRST_DELAY * 2 ** min(mail.attempts - 1, 10), _LONGEST_DELAY)
    if now - mail.created_at > _GIVEN_UP_AFTER:
        mail.failed_at = now
    mail.save(update_fields=["attempts", "next_attempt_at", "failed_at"])
    # Neither whom it was for nor what it said; errors of a mail server quote addresses.
    cause = error.__cause__ if isinstance(error, ServerAway) else error
    reply = getattr(cause, "smtp_code", "")
    what = "given up" if mail.failed_at else "put off"
    log.warning("Mail %s (%s) was %s: %s %s", mail.pk, mail.template, what, type(cause).__name__, reply)
