"""Exchanging a refresh token. All that decides about it, and all that its next access token says, is read by one
statement, which goes with the transaction's BEGIN.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from psycopg import sql

from identity.accounts.models import User
from identity.members import selectors as members
from identity.members.models import Membership
from identity.sessions.models import Api, EndReason, RefreshFamily, Session
from identity.sessions.refresh_token import MalformedRefreshToken, RefreshToken
from identity.sessions.services import end_session, idle_lifetime
from tenants.context.statements import Columns, beginning_with, execute, fetch_one, table

_FAMILY = Columns(RefreshFamily, "family", ("id", "tenant_id", "scope", "secret", "generation", "rotated_at"))
_SESSION = Columns(
    Session,
    "session",
    (
        "id",
        "user_id",
        "api",
        "tenant_id",
        "scope",
        "way",
        "connection_id",
        "application_id",
        "methods",
        "authenticated_at",
    ),
)
_FAMILIES = sql.SQL(
    "{families} family JOIN {sessions} session ON session.id = family.session_id"
    " JOIN {people} person ON person.id = session.user_id"
).format(families=table(RefreshFamily), sessions=table(Session), people=table(User))
_LIVE = sql.SQL(
    "family.id = %s AND family.idle_expires_at > statement_timestamp()"
    " AND session.expires_at > statement_timestamp() AND session.ended_at IS NULL AND person.is_active"
)
_FIND = (
    sql.SQL("SELECT family.session_id, family.secret FROM {families} WHERE {live} AND session.api = %s")
    .format(families=_FAMILIES, live=_LIVE)
    .as_string()
)
# The session is held too: who waits for the family must not go on with a session that ended meanwhile. What is read of
# the membership is then as old as the waiting; the token's version tells, as for any token that was made before.
_HOLD = sql.SQL(
    "SELECT {family}, {session}, {member} FROM {families} LEFT JOIN ({members}) ON member.tenant_id = family.tenant_id"
    " AND member.user_id = session.user_id AND {active} WHERE {live} AND session.api = {api}"
    " FOR NO KEY UPDATE OF family, session"
)
_HOLD_OF = {
    api: _HOLD.format(
        family=_FAMILY.selected,
        session=_SESSION.selected,
        member=members.ACTIVE_COLUMNS,
        families=_FAMILIES,
        members=members.ACTIVE_TABLES,
        active=members.ACTIVE,
        live=_LIVE,
        api=sql.Literal(api.value),
    ).as_string()
    for api in Api
}
_STANDING = (
    sql.SQL(
        "SELECT {session} FROM {sessions} session JOIN {people} person ON person.id = session.user_id"
        " WHERE session.id = %s AND session.expires_at > statement_timestamp() AND session.ended_at IS NULL"
        " AND person.is_active"
    )
    .format(session=_SESSION.selected, sessions=table(Session), people=table(User))
    .as_string()
)
_MOVE_ON = (
    sql.SQL("UPDATE {families} SET generation = %s, rotated_at = %s, idle_expires_at = %s WHERE id = %s")
    .format(families=table(RefreshFamily))
    .as_string()
)


@dataclass(frozen=True)
class Rotated:
    """A refresh token's successor, and what the access token that goes with it is made from.

    Attributes:
        tenant_id: where the family is; None outside any tenant.
        scope: what was asked for when that tenant was entered.
        membership: the person's active membership there, with its tenant and role.
    """

    refresh_token: RefreshToken
    session: Session
    tenant_id: UUID | None
    scope: str
    membership: Membership | None


@contextmanager
def rotating(*, text: str, api: Api) -> Iterator[Rotated | None]:
    """Exchange a refresh token for its successor, in a transaction that ends with the block: one winner, however many
    try at once.

    The token before the newest one, within ``settings.REFRESH_GRACE`` of its exchange, gets the same successor again:
    its owner lost the answer, or has two tabs. Anything older is in two hands, and ends the session.

    Yields None when nothing was exchanged. That is no exception, because the caller must let the end of the session be
    committed.
    """
    presented = _parse(text)
    if presented is None:
        yield None
        return
    with beginning_with(_HOLD_OF[api], presented.family_id) as row:
        yield None if row is None else _rotate(presented, iter(row), api)


@contextmanager
def continuing(*, session_id: UUID, user_id: UUID) -> Iterator[Session | None]:
    """Be in a transaction that begins by looking at a person's session; yield None when it is over."""
    with beginning_with(_STANDING, session_id) as row:
        session = None if row is None else _SESSION.take(iter(row))
        yield session if session is not None and session.user_id == user_id else None


def current_refresh_token(*, family_id: UUID) -> str | None:
    """Return the newest refresh token of a live family, for whoever keeps it on this side and never gave it away; None
    when the family is over.
    """
    family = RefreshFamily.objects.filter(pk=family_id, idle_expires_at__gt=timezone.now()).first()
    return str(RefreshToken.issue(family.pk, family.generation, family.secret)) if family else None


def session_of_refresh_token(*, text: str, api: Api) -> UUID | None:
    """Return the id of the live session that a genuine refresh token belongs to, without using the token up."""
    presented = _parse(text)
    row = presented and fetch_one(_FIND, presented.family_id, api.value)
    if not presented or not row or not presented.is_genuine(row[1]):
        return None
    session_id: UUID = row[0]
    return session_id


def _rotate(presented: RefreshToken, values: Iterator[Any], api: Api) -> Rotated | None:
    family, session = _FAMILY.take(values), _SESSION.take(values)
    if family is None or session is None or not presented.is_genuine(family.secret):
        return None
    now = timezone.now()
    if presented.generation == family.generation:
        family.generation += 1
        execute(_MOVE_ON, family.generation, now, now + idle_lifetime(api), family.pk)
    elif presented.generation != family.generation - 1 or now - family.rotated_at > settings.REFRESH_GRACE:
        end_session(session_id=session.pk, reason=EndReason.REFRESH_REUSED)
        return None
    token = RefreshToken.issue(family.pk, family.generation, family.secret)
    return Rotated(token, session, family.tenant_id, family.scope, members.read_active(values))


def _parse(text: str) -> RefreshToken | None:
    try:
        return RefreshToken.parse(text)
    except MalformedRefreshToken:
        return None
