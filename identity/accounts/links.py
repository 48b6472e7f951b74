"""Links in mails: making one, believing one, using one. Part of a service's transaction."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from identity.accounts.errors import InvalidLink
from identity.accounts.models import MailedLink, Purpose, User
from identity.keys.computed import ComputedToken, MalformedToken

_GENERATION = 1  # each link has one token


class LinkToken(ComputedToken):
    """The token of a mailed link, read but not yet believed."""

    label: ClassVar[str] = "tenantry mailed link"
    prefix: ClassVar[str] = "tl_"


def create_link(*, user: User | None, email: str, purpose: Purpose, data: dict[str, Any] | None = None) -> MailedLink:
    """Make a link; without a user, one that is good for nothing."""
    return MailedLink.objects.create(
        user=user,
        email=email if user else "",
        purpose=purpose,
        expires_at=timezone.now() + settings.LINK_LIFETIMES[purpose.value],
        data=data or {},
    )


def token_of(link: MailedLink) -> str:
    """Return the token that goes into the mail."""
    return str(LinkToken.issue(link.pk, _GENERATION, link.secret))


def open_link(link_id: UUID) -> MailedLink | None:
    """Return a link that is still good, with its user."""
    now = timezone.now()
    links = MailedLink.objects.filter(pk=link_id, used_at=None, expires_at__gt=now, user__is_active=True)
    return links.select_related("user").first()


def believe(text: str, *purposes: Purpose) -> MailedLink:
    """Return the link that a token belongs to.

    Raises:
        InvalidLink: it belongs to none, or to one that is not good any more, or is for something else.
    """
    try:
        token = LinkToken.parse(text)
    except MalformedToken:
        raise InvalidLink from None
    link = open_link(token.row_id)
    if link is None or link.purpose not in purposes or not token.is_genuine(link.secret):
        raise InvalidLink
    return link


def hold_user(link: MailedLink) -> User:
    """Use a link up, and return its user, both locked until the transaction ends. Of many who try at once, one does.

    The user is locked first, by everybody: links are only ever used up by whoever holds their user.

    Raises:
        InvalidLink: somebody else used it, or the account was closed, since it was read.
    """
    holders = User.objects.filter(mailed_links=link.pk, is_active=True)
    user = holders.select_for_update(of=("self",)).first()
    mine = MailedLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now(), data={})
    if user is None or not mine:
        raise InvalidLink
    return user


def void_links(user: User) -> None:
    """Make every other link of an account good for nothing."""
    MailedLink.objects.filter(user=user, used_at=None).update(used_at=timezone.now(), data={})


@transaction.atomic
def prune_links(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` links that expired `keep` ago, used or not, and return how many. Those that never were
    good for anything go as soon as they expire.
    """
    now = timezone.now()
    expired = MailedLink.objects.filter(expires_at__lt=now).order_by("expires_at")
    old = expired.filter(Q(user=None) | Q(expires_at__lt=now - keep))
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    MailedLink.objects.filter(pk__in=batch).delete()
    return len(batch)
