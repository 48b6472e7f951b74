"""Starting, continuing and ending sessions."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from identity.sessions.models import Api, EndReason, RefreshFamily, Session
from identity.sessions.refresh_token import MalformedRefreshToken, RefreshToken


@dataclass(frozen=True)
class Device:
    """Where a sign-in came from, for the person to recognize it."""

    ip_address: str | None
    user_agent: str


@transaction.atomic
def start_session(*, user_id: UUID, api: Api, methods: list[str], device: Device) -> Session:
    """Record a sign-in that was just proved by `methods` (RFC 8176 names, such as ``pwd``)."""
    now = timezone.now()
    return Session.objects.create(
        user_id=user_id,
        api=api,
        methods=methods,
        authenticated_at=now,
        expires_at=now + settings.SESSION_LIFETIME,
        ip_address=device.ip_address,
        user_agent=device.user_agent[:300],
    )


@transaction.atomic
def start_family(*, session: Session, tenant_id: UUID | None, scope: str) -> tuple[RefreshFamily, RefreshToken]:
    """Begin a chain of refresh tokens for one tenant of the session, and return its first token."""
    now = timezone.now()
    family = RefreshFamily.objects.create(
        session=session,
        tenant_id=tenant_id,
        scope=scope,
        rotated_at=now,
        idle_expires_at=now + settings.REFRESH_IDLE_LIFETIME,
    )
    return family, _token(family)


@transaction.atomic
def rotate(*, text: str, api: Api) -> tuple[RefreshFamily, RefreshToken] | None:
    """Exchange a refresh token for its successor: one winner, however many try at once.

    The token before the newest one, within ``settings.REFRESH_GRACE`` of its exchange, gets the same successor again:
    its owner lost the answer, or has two tabs. Anything older is in two hands, and ends the session.

    Returns None when nothing was exchanged. That is no exception, because the caller must let the end of the session be
    committed.
    """
    presented = _parse(text)
    family = presented and _live_families(api).select_for_update(of=("self",)).filter(pk=presented.family_id).first()
    if not presented or not family or not presented.is_genuine(family.secret):
        return None
    now = timezone.now()
    if presented.generation == family.generation:
        family.generation += 1
        family.rotated_at = now
        family.idle_expires_at = now + settings.REFRESH_IDLE_LIFETIME
        family.save(update_fields=["generation", "rotated_at", "idle_expires_at"])
        return family, _token(family)
    if presented.generation == family.generation - 1 and now - family.rotated_at <= settings.REFRESH_GRACE:
        return family, _token(family)
    _end(Session.objects.filter(pk=family.session_id), EndReason.REFRESH_REUSED)
    return None


def session_of_refresh_token(*, text: str, api: Api) -> UUID | None:
    """Return the id of the live session that a genuine refresh token belongs to, without using the token up."""
    presented = _parse(text)
    family = presented and _live_families(api).filter(pk=presented.family_id).first()
    return family.session_id if presented and family and presented.is_genuine(family.secret) else None


@transaction.atomic
def end_session(*, session_id: UUID, reason: EndReason) -> None:
    """End a session: its tokens are refused from the next request on. Ending it twice changes nothing."""
    _end(Session.objects.filter(pk=session_id), reason)


def _end(sessions: QuerySet[Session], reason: EndReason) -> None:
    sessions.filter(ended_at=None).update(ended_at=timezone.now(), end_reason=reason)


def _live_families(api: Api) -> QuerySet[RefreshFamily]:
    now = timezone.now()
    return RefreshFamily.objects.select_related("session", "session__user").filter(
        idle_expires_at__gt=now,
        session__api=api,
        session__expires_at__gt=now,
        session__ended_at=None,
        session__user__is_active=True,
    )


def _parse(text: str) -> RefreshToken | None:
    try:
        return RefreshToken.parse(text)
    except MalformedRefreshToken:
        return None


def _token(family: RefreshFamily) -> RefreshToken:
    return RefreshToken.issue(family.pk, family.generation, family.secret)
