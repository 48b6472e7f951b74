"""Writing to the outbox, and cleaning it up."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.utils import timezone

from identity.mail import background, templates
from identity.mail.models import OutgoingMail


@transaction.atomic
def enqueue(*, template: str, to: str, context: Mapping[str, Any], tenant_id: UUID | None = None) -> None:
    """Put a mail into the outbox, in the caller's transaction: it is sent after the commit, or never.

    It may arrive twice, should a process end between sending it and noting that; never less than once, while there is
    a server that takes it within a day.

    Args:
        template: as it was registered; see ``identity.mail.templates``.
        to: one address, which was validated.
        context: for the template's builder, as JSON. Never a secret: it is kept in clear until the mail is sent.
        tenant_id: whose mail it is; inside a tenant, that tenant.

    Raises:
        LookupError: there is no such template.
    """
    if not templates.is_registered(template):
        raise LookupError(f"No mail is called {template!r}.")
    OutgoingMail.objects.create(template=template, recipient=to, context=dict(context), tenant_id=tenant_id)
    transaction.on_commit(background.wake, using=router.db_for_write(OutgoingMail), robust=True)


@transaction.atomic
def prune_failed(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` mails that were given up `keep` ago, and return how many."""
    old = OutgoingMail.objects.filter(failed_at__lt=timezone.now() - keep).order_by("failed_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    OutgoingMail.objects.filter(pk__in=batch).delete()
    return len(batch)
