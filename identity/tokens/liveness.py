"""Is what a token says still true? Asked by the statement that enters the tenant, so it costs no round trip.

Each kind of caller has one condition, all of which has to hold: what the token stands on is there, switched on, not
over, at the version that the token was made under, and the key that signed it was not retired.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
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
from tenants.context.entrances import entrance
from tenants.context.entry import Entry
from tenants.context.errors import NoSuchTenant
from tenants.context.guards import Column, Guard
from tenants.context.statements import table
from tenants.registry import states

Enter = Callable[[UUID, Guard], Entry]

_PERSON, _VERSION = sql.Placeholder("person_id"), sql.Placeholder("version")
_OF_PEOPLE = {"person_id": "uuid", "session_id": "uuid", "version": "bigint"}
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
_LIMITS = {
    "plan": Column("text", sql.SQL("tenant.plan")),
    "request_limit": Column("integer", sql.SQL("tenant.request_limit")),
}


def check_member(claims: Claims, sign_in: SignIn, kid: str, enter: Enter) -> None:
    """Enter, or look into, the tenant of a member's `claims`; refuse claims that are no longer true.

    Args:
        kid: the key that signed them.

    Raises:
        InvalidToken: the tenant, the membership, the session or the account is gone, or the rights have changed.
        TenantSuspended: all is well but for the tenant itself.
    """
    guard = _members().about(
        person_id=claims.sub, session_id=sign_in.sid, version=claims.ver, kid=keys.kid_to_ask_about(kid)
    )
    _check(claims, guard, enter)


def check_client(claims: Claims, kid: str, enter: Enter) -> None:
    """The same for a machine client.

    Raises:
        InvalidToken: the tenant or the client is gone, switched off or expired, or has other rights now.
        TenantSuspended: all is well but for the tenant itself.
    """
    guard = _clients().about(client_id=claims.sub, version=claims.ver, kid=keys.kid_to_ask_about(kid))
    _check(claims, guard, enter)


def check_support(claims: Claims, sign_in: SignIn, kid: str, enter: Enter) -> None:
    """The same for platform staff in support access. One that only reads is entered in a transaction that can do no
    more than that.

    Raises:
        InvalidToken: the tenant or the account is gone, the access is over, or they are on the staff no longer, or as
            something else.
        TenantSuspended: all is well but for the tenant itself.
    """
    pattern = _support_that_reads() if all(map(scopes.is_reading, claims.scope)) else _support()
    guard = pattern.about(
        person_id=claims.sub, session_id=sign_in.sid, version=claims.ver, kid=keys.kid_to_ask_about(kid)
    )
    _check(claims, guard, enter)


def check_session(claims: Claims, sign_in: SignIn, kid: str, api: Api) -> None:
    """Refuse claims, of a person in no tenant, whose session or account is over.

    Raises:
        InvalidToken: it is.
    """
    condition = keys.usable_condition(sql.Literal(keys.kid_to_ask_about(kid)))
    usable = RawSQL(condition.as_string(), [], output_field=BooleanField())  # noqa: S611 -- a thumbprint of ours
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


@entrance
def _members() -> Guard:
    condition = _MEMBER.format(
        active=sql.Literal(MembershipStatus.ACTIVE.value), version=_VERSION, signed_in=_SIGNED_IN
    )
    joins = _MEMBER_JOINS.format(members=table(Membership), person_id=_PERSON)
    guard = _guard("member", condition, joins + _session_joins(Api.TENANT), _OF_PEOPLE)
    return replace(guard, columns={**guard.columns, "only_tenant_id": Column("uuid", sql.SQL("session.tenant_id"))})


@entrance
def _clients() -> Guard:
    joins = _CLIENT_JOINS.format(clients=table(Client), client_id=sql.Placeholder("client_id"))
    return _guard("client", _CLIENT.format(version=_VERSION), joins, {"client_id": "uuid", "version": "bigint"})


@entrance
def _support() -> Guard:
    condition = _SUPPORT.format(version=_VERSION, signed_in=_SIGNED_IN)
    joins = _SUPPORT_JOINS.format(staff=table(apps.get_model(settings.STAFF_MODEL)), person_id=_PERSON)
    return _guard("support", condition, joins + _session_joins(Api.SUPPORT), _OF_PEOPLE)


@entrance
def _support_that_reads() -> Guard:
    return replace(_support(), entrance="reading_support", read_only=True)


def _guard(name: str, condition: sql.Composable, joins: sql.Composable, parameters: Mapping[str, str]) -> Guard:
    is_live = sql.SQL("coalesce({condition} AND {usable}, false)").format(
        condition=condition, usable=keys.usable_condition(sql.Placeholder("kid"))
    )
    columns = {"is_live": Column("boolean", is_live), **_LIMITS}
    return Guard(columns, joins, {**parameters, "kid": "text"}, entrance=name)


def _session_joins(api: Api) -> sql.Composable:
    return _SIGNED_IN_JOINS.format(
        people=table(User),
        sessions=table(Session),
        person_id=_PERSON,
        session_id=sql.Placeholder("session_id"),
        api=sql.Literal(api.value),
    )
