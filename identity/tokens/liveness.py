"""Is what a token says still true? Asked by the statement that enters the tenant, so it costs no round trip.

Each kind of caller has one condition, all of which has to hold: what the token stands on is there, switched on, not
over, at the version that the token was made under, and the key that signed it was not retired.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from psycopg import sql

from identity.accounts.models import User
from identity.clients.models import Client
from identity.keys import selectors as keys
from identity.members.models import Membership, MembershipStatus
from identity.sessions import selectors as sessions
from identity.sessions.models import Api, Session
from identity.tokens.claims import Claims, SignIn
from identity.tokens.errors import InvalidToken
from permissions import scopes
from tenants.context.entry import Entry, Guard
from tenants.context.errors import NoSuchTenant
from tenants.context.statements import table
from tenants.registry import states

REMEMBERED = 2048  # tokens: what is kept of each is some kilobytes

Enter = Callable[[UUID, Guard], Entry]

_SIGNED_IN = sql.SQL("person.is_active AND session.ended_at IS NULL AND session.expires_at > now()")
_SIGNED_IN_JOINS = sql.SQL(
    " LEFT JOIN {people} person ON person.id = {person_id}"
    " LEFT JOIN {sessions} session ON session.id = {session_id} AND session.user_id = {person_id}"
    " AND session.api = {api}"
)
_MEMBER = sql.SQL("member.status = {active} AND member.version = {version} AND {signed_in}")
_MEMBER_JOINS = sql.SQL(" LEFT JOIN {members} member ON member.tenant_id = tenant.id AND member.user_id = {person_id}")
_SUPPORT = sql.SQL("session.tenant_id = tenant.id AND staff.is_active AND staff.version = {version} AND {signed_in}")
_SUPPORT_JOINS = sql.SQL(" LEFT JOIN {staff} staff ON staff.user_id = {person_id}")
_CLIENT = sql.SQL(
    "client.is_active AND client.version = {version} AND (client.expires_at IS NULL OR client.expires_at > now())"
)
_CLIENT_JOINS = sql.SQL(" LEFT JOIN {clients} client ON client.tenant_id = tenant.id AND client.id = {client_id}")

# How many requests the tenant has a minute; see ``tenants.registry.plans``.
_LIMITS = {"plan": sql.SQL("tenant.plan"), "request_limit": sql.SQL("tenant.request_limit")}


def check_member(claims: Claims, sign_in: SignIn, kid: str, enter: Enter) -> None:
    """Enter, or look into, the tenant of a member's `claims`; refuse claims that are no longer true.

    Args:
        kid: the key that signed them.

    Raises:
        InvalidToken: the tenant, the membership, the session or the account is gone, or the rights have changed.
        TenantSuspended: all is well but for the tenant itself.
    """
    _check(claims, _of_member(claims, sign_in, kid), enter)


def check_client(claims: Claims, kid: str, enter: Enter) -> None:
    """The same for a machine client.

    Raises:
        InvalidToken: the tenant or the client is gone, switched off or expired, or has other rights now.
        TenantSuspended: all is well but for the tenant itself.
    """
    _check(claims, _of_client(claims, kid), enter)


def check_support(claims: Claims, sign_in: SignIn, kid: str, enter: Enter) -> None:
    """The same for platform staff in support access. One that only reads is entered in a transaction that can do no
    more than that.

    Raises:
        InvalidToken: the tenant or the account is gone, the access is over, or they are on the staff no longer, or as
            something else.
        TenantSuspended: all is well but for the tenant itself.
    """
    _check(claims, _of_support(claims, sign_in, kid), enter)


def check_session(claims: Claims, sign_in: SignIn, kid: str, api: Api) -> None:
    """Refuse claims, of a person in no tenant, whose session or account is over.

    Raises:
        InvalidToken: it is.
    """
    usable = RawSQL(keys.usable_condition(kid).as_string(), [], output_field=BooleanField())  # noqa: S611 -- a thumbprint of ours
    live = sessions.live_sessions().filter(usable, pk=sign_in.sid, user_id=claims.sub, api=api)
    if not live.exists():
        raise InvalidToken


def _check(claims: Claims, guard: Guard, enter: Enter) -> None:
    if claims.tenant_id is None:
        raise InvalidToken
    try:
        entry = enter(claims.tenant_id, guard)
    except NoSuchTenant as error:
        raise InvalidToken from error
    if not entry.found["is_live"]:
        raise InvalidToken
    states.refuse_closed(entry.tenant.status)


# What a token has to be asked about is the same each time it comes: composing it takes longer than asking.
@lru_cache(maxsize=REMEMBERED)
def _of_member(claims: Claims, sign_in: SignIn, kid: str) -> Guard:
    condition = _MEMBER.format(
        active=sql.Literal(MembershipStatus.ACTIVE.value), version=sql.Literal(claims.ver), signed_in=_SIGNED_IN
    )
    joins = _MEMBER_JOINS.format(members=table(Membership), person_id=sql.Literal(claims.sub))
    return _guard(condition, joins + _session_joins(claims, sign_in, Api.TENANT), kid)


@lru_cache(maxsize=REMEMBERED)
def _of_client(claims: Claims, kid: str) -> Guard:
    condition = _CLIENT.format(version=sql.Literal(claims.ver))
    joins = _CLIENT_JOINS.format(clients=table(Client), client_id=sql.Literal(claims.sub))
    return _guard(condition, joins, kid)


@lru_cache(maxsize=REMEMBERED)
def _of_support(claims: Claims, sign_in: SignIn, kid: str) -> Guard:
    condition = _SUPPORT.format(version=sql.Literal(claims.ver), signed_in=_SIGNED_IN)
    staff = table(apps.get_model(settings.STAFF_MODEL))
    joins = _SUPPORT_JOINS.format(staff=staff, person_id=sql.Literal(claims.sub))
    guard = _guard(condition, joins + _session_joins(claims, sign_in, Api.SUPPORT), kid)
    return replace(guard, read_only=all(map(scopes.is_reading, claims.scope)))


def _guard(condition: sql.Composable, joins: sql.Composable, kid: str) -> Guard:
    is_live = sql.SQL("coalesce({condition} AND {usable}, false)").format(
        condition=condition, usable=keys.usable_condition(kid)
    )
    return Guard({"is_live": is_live, **_LIMITS}, joins)


def _session_joins(claims: Claims, sign_in: SignIn, api: Api) -> sql.Composable:
    return _SIGNED_IN_JOINS.format(
        people=table(User),
        sessions=table(Session),
        person_id=sql.Literal(claims.sub),
        session_id=sql.Literal(sign_in.sid),
        api=sql.Literal(api.value),
    )
