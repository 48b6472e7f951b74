"""The message that goes to the mail server."""

from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from identity.mail.templates import Content


def compose(content: Content, *, mail_id: UUID, recipient: str) -> EmailMultiAlternatives:
    """Return a message with a text and an HTML part.

    Its Message-ID is the mail's own, so a mail that was sent twice is recognized as one. Nobody's automatic answer is
    wanted (RFC 3834 section 5, and Exchange's header of the same meaning).
    """
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    message = EmailMultiAlternatives(
        subject=content.subject,
        body=content.text,
        to=[recipient],
        headers={
            "Message-ID": f"<{mail_id}@{domain}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    message.attach_alternative(content.html, "text/html")
    return message
