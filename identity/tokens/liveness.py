"""Is what a token says still true? Asked by the statement that enters the tenant, so it costs no round trip."""

from collections.abc import Callable
from uuid import UUID

from psycopg import sql

from identity.accounts.models import User
from identity.members.models import Membership, MembershipStatus
from identity.sessions import selectors as sessions
from identity.sessions.models import Api, Session
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidToken
from tenants.context.entry import Entry, Guard
from tenants.context.errors import NoSuchTenant
from tenants.registry.errors import TenantSuspended
from tenants.registry.models import TenantStatus

Enter = Callable[[UUID, Guard], Entry]

_COLUMNS = {
    "member_status": sql.SQL("member.status"),
    "version": sql.SQL("member.version"),
    "person_is_active": sql.SQL("person.is_active"),
    "session_is_live": sql.SQL("(session.ended_at IS NULL AND session.expires_at > now())"),
}
_JOINS = sql.SQL(
    " LEFT JOIN {members} member ON member.tenant_id = tenant.id AND member.user_id = {person_id}"
    " LEFT JOIN {people} person ON person.id = {person_id}"
    " LEFT JOIN {sessions} session ON session.id = {session_id} AND session.user_id = {person_id}"
    " AND session.api = {api}"
)


def member_guard(claims: Claims) -> Guard:
    """Return what must be read about the holder of `claims` while entering their tenant."""
    joins = _JOINS.format(
        members=sql.Identifier(Membership._meta.db_table),
        people=sql.Identifier(User._meta.db_table),
        sessions=sql.Identifier(Session._meta.db_table),
        person_id=sql.Literal(claims.sub),
        session_id=sql.Literal(claims.sid),
        api=sql.Literal(Api.TENANT.value),
    )
    return Guard(_COLUMNS, joins)


def check_member(claims: Claims, tenant_id: UUID, enter: Enter) -> None:
    """Enter, or look into, the tenant of `claims`, and refuse claims that are no longer true.

    Raises:
        InvalidToken: the tenant, the membership, the session or the account is gone, or the rights have changed.
        TenantSuspended: all is well but for the tenant itself.
    """
    try:
        entry = enter(tenant_id, member_guard(claims))
    except NoSuchTenant as error:
        raise InvalidToken from error
    found = entry.found
    if not (
        found["member_status"] == MembershipStatus.ACTIVE
        and found["version"] == claims.ver
        and found["person_is_active"]
        and found["session_is_live"]
    ):
        raise InvalidToken
    if entry.tenant.status != TenantStatus.ACTIVE:
        raise TenantSuspended


def check_session(claims: Claims, api: Api) -> None:
    """Refuse claims whose session or account is over.

    Raises:
        InvalidToken: it is.
    """
    if not sessions.is_live(session_id=claims.sid, user_id=claims.sub, api=api):
        raise InvalidToken
