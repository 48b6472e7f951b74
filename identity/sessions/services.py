"""Starting and ending sessions. How refresh tokens continue them is in ``rotation``."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from psycopg import sql

from identity.sessions import selectors
from identity.sessions.models import Api, EndReason, RefreshFamily, Session
from identity.sessions.proof import FACTORS, MULTI_FACTOR, Proof, merged
from identity.sessions.refresh_token import RefreshToken
from identity.sessions.signals import session_starting
from tenants.context.statements import execute, insert, table

_FAMILIES_PER_SESSION = 20  # each tenant that is entered begins one; a client that goes to and fro makes no more
_MAKE_ROOM = (
    sql.SQL(
        "DELETE FROM {families} WHERE id IN"
        " (SELECT id FROM {families} WHERE session_id = %s ORDER BY rotated_at DESC OFFSET %s)"
    )
    .format(families=table(RefreshFamily))
    .as_string()
)


@dataclass(frozen=True)
class Device:
    """Where a sign-in came from, for the person to recognize it."""

    ip_address: str | None
    user_agent: str


@transaction.atomic(savepoint=False)  # here and below: nothing is undone without its caller's work
def start_session(
    *,
    user_id: UUID,
    api: Api,
    tenant_id: UUID | None,
    proof: Proof,
    device: Device,
    scope: str = "",
    lifetime: timedelta | None = None,
) -> tuple[Session, RefreshToken]:
    """Record a sign-in that was just proved and begin its first chain of refresh tokens; return both. Staff's are
    shorter.

    Args:
        tenant_id: the tenant that is entered; None outside any.
        scope: what was asked for, space-separated: no token of the session ever holds more.
        lifetime: if it is to be shorter than others.
    """
    if lifetime is None:
        lifetime = settings.OPERATOR_SESSION_LIFETIME if api == Api.OPERATOR else settings.SESSION_LIFETIME
    session = _new_session(
        lifetime,
        list(proof.methods),
        device,
        user_id=user_id,
        api=api,
        scope=scope,
        way=proof.way,
        connection_id=proof.connection_id,
        application_id=proof.application_id,
        provider_session=proof.provider_session,
        tenant_id=proof.only_tenant_id,
    )
    session.authenticated_at = proof.proved_at or session.authenticated_at
    session_starting.send(sender=Session, session=session)
    family = _new_family(session, tenant_id, "")
    insert(session, family)
    return session, _token(family)


@transaction.atomic
def start_support_session(
    *, user_id: UUID, tenant_id: UUID, methods: list[str], device: Device, lifetime: timedelta
) -> Session:
    """Record that a member of staff begins to look into a tenant. It has no refresh tokens, and nothing extends it; it
    is no longer than ``settings.SUPPORT_LIFETIME``.
    """
    lifetime = min(lifetime, settings.SUPPORT_LIFETIME)
    session = _new_session(lifetime, methods, device, user_id=user_id, api=Api.SUPPORT, tenant_id=tenant_id)
    session.save(force_insert=True)
    return session


@transaction.atomic(savepoint=False)
def start_family(*, session: Session, tenant_id: UUID | None, scope: str) -> RefreshToken:
    """Begin a chain of refresh tokens for one more tenant of the session, and return its first token.

    A session has a bounded number of chains: the least used one makes room.
    """
    execute(_MAKE_ROOM, session.pk, _FAMILIES_PER_SESSION - 1)
    family = _new_family(session, tenant_id, scope)
    insert(family)
    return _token(family)


@transaction.atomic
def prove_again(*, session_id: UUID, user_id: UUID, methods: list[str]) -> Session | None:
    """Record that the person of a session has just proved again who they are, by which methods: they join those of
    before, which the session stands on too. None when the session is over.
    """
    session = selectors.live_sessions().select_for_update(of=("self",)).filter(pk=session_id, user_id=user_id).first()
    if session is not None:
        session.methods = merged(*session.methods, *methods)
        session.authenticated_at = timezone.now()
        session.save(update_fields=["methods", "authenticated_at"])
    return session


def note_new_factor(*, user_id: UUID, session_id: UUID | None, kind: str, **signal: Any) -> None:
    """Let a session be one with a second factor, whose person has just shown to have a new one."""
    if session_id is None:
        return
    session = Session.objects.select_for_update().filter(pk=session_id, user_id=user_id, ended_at=None).first()
    if session is not None:
        session.methods = merged(*session.methods, FACTORS[kind], MULTI_FACTOR)
        session.save(update_fields=["methods"])


def end_session(*, session_id: UUID, reason: EndReason) -> None:
    """End a session: its tokens are refused from the next request on. Ending it twice changes nothing."""
    _end(Session.objects.filter(pk=session_id), reason)


@transaction.atomic
def end_session_of(*, user_id: UUID, session_id: UUID, api: Api) -> None:
    """End one of a person's own sessions with one API. Ending it twice changes nothing.

    Raises:
        Session.DoesNotExist: they have no such session.
    """
    own = Session.objects.filter(pk=session_id, user_id=user_id, api=api)
    if not own.exists():
        raise Session.DoesNotExist
    _end(own, EndReason.ENDED_BY_PERSON)


@transaction.atomic
def end_other_sessions(*, user_id: UUID, keep: UUID | None, api: Api) -> None:
    """End every session of a person with one API but one."""
    _end(_others(user_id, keep).filter(api=api), EndReason.ENDED_BY_PERSON)


@transaction.atomic
def end_staff_sessions(*, user_id: UUID) -> None:
    """End whatever a person does as platform staff: every operator session, and every look into a tenant."""
    own = Session.objects.filter(user_id=user_id, api__in=[Api.OPERATOR, Api.SUPPORT])
    _end(own, EndReason.ENDED_BY_STAFF)


@transaction.atomic
def end_sessions_of(*, user_id: UUID, reason: EndReason) -> None:
    """End every session of a person with the tenant API, for a reason that is not theirs."""
    _end(_others(user_id, None).filter(api=Api.TENANT), reason)


@transaction.atomic
def end_sessions_by(
    *,
    connections: Collection[UUID],
    reason: EndReason,
    users: Collection[UUID] | None = None,
    provider_session: str = "",
) -> int:
    """End the sessions that began by some of a tenant's connections to its own provider, and return how many did.

    Args:
        users: of these people only.
        provider_session: those only that began in this session at the provider.
    """
    rows = Session.objects.filter(connection_id__in=connections, ended_at=None)
    if users is not None:
        rows = rows.filter(user_id__in=users)
    if provider_session:
        rows = rows.filter(provider_session=provider_session)
    return rows.update(ended_at=timezone.now(), end_reason=reason)


@transaction.atomic
def end_sessions_through(*, application_id: UUID, reason: EndReason, user_id: UUID | None = None) -> None:
    """End the sessions in which an application acts for people, or for one of them."""
    rows = Session.objects.filter(application_id=application_id)
    _end(rows if user_id is None else rows.filter(user_id=user_id), reason)


def end_after_password_change(*, user_id: UUID, keep_session: UUID | None, **signal: Any) -> None:
    """End every session of whoever has another password now, with every API, but the one that changed it."""
    _end(_others(user_id, keep_session), EndReason.PASSWORD_CHANGED)


def end_after_deactivation(*, user_id: UUID, **signal: Any) -> None:
    """End every session of a closed account."""
    _end(Session.objects.filter(user_id=user_id), EndReason.ACCOUNT_CLOSED)


@transaction.atomic
def prune_sessions(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` sessions that have been over for `keep`, with their families, and return how many.

    Rows that somebody else is working on are left for the next time, so it never waits and never stands in the way.
    """
    old = timezone.now() - keep
    over = Session.objects.select_for_update(skip_locked=True, no_key=True)
    expired = list(over.filter(expires_at__lt=old).order_by("expires_at").values_list("pk", flat=True)[:limit])
    rest = limit - len(expired)
    ended = over.filter(ended_at__lt=old, expires_at__gte=old).order_by("ended_at").values_list("pk", flat=True)[:rest]
    batch = [*expired, *ended]
    Session.objects.filter(pk__in=batch).delete()
    return len(batch)


@transaction.atomic
def prune_families(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` chains of refresh tokens that have been idle beyond use for `keep`; return how many."""
    idle = RefreshFamily.objects.filter(idle_expires_at__lt=timezone.now() - keep).order_by("idle_expires_at")
    batch = list(idle.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    RefreshFamily.objects.filter(pk__in=batch).delete()
    return len(batch)


def _new_session(lifetime: timedelta, methods: list[str], device: Device, **session: Any) -> Session:
    now = timezone.now()
    return Session(
        methods=methods,
        authenticated_at=now,
        expires_at=now + lifetime,
        ip_address=device.ip_address,
        user_agent=device.user_agent[:300],
        **session,
    )


def _new_family(session: Session, tenant_id: UUID | None, scope: str) -> RefreshFamily:
    now = timezone.now()
    return RefreshFamily(
        session=session,
        tenant_id=tenant_id,
        scope=scope,
        rotated_at=now,
        idle_expires_at=now + idle_lifetime(session.api),
    )


def _others(user_id: UUID, keep: UUID | None) -> QuerySet[Session]:
    rows = Session.objects.filter(user_id=user_id)
    return rows if keep is None else rows.exclude(pk=keep)


def _end(sessions: QuerySet[Session], reason: EndReason) -> None:
    sessions.filter(ended_at=None).update(ended_at=timezone.now(), end_reason=reason)


def idle_lifetime(api: str) -> timedelta:
    """Return for how long a refresh token of an API is good if it is not used."""
    return settings.OPERATOR_IDLE_LIFETIME if api == Api.OPERATOR else settings.REFRESH_IDLE_LIFETIME


def _token(family: RefreshFamily) -> RefreshToken:
    return RefreshToken.issue(family.pk, family.generation, family.secret)
