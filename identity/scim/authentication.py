"""DRF's way to tokens of tenants' directories: a kind of caller of its own, and no token of any other kind."""

from collections.abc import Callable
from uuid import UUID

from psycopg import sql
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from identity.scim import credentials
from identity.scim.credentials import Presented
from identity.scim.models import ScimToken
from identity.tokens.authentication import REALM, bearer_token
from identity.tokens.errors import InvalidToken
from permissions import policy
from permissions.principals import Kind, Principal
from tenants.audit.acting import identify
from tenants.context.entrances import entrance
from tenants.context.entry import Entry, look
from tenants.context.errors import NoSuchTenant
from tenants.context.guards import Column, Guard
from tenants.context.middleware import enter_for_request
from tenants.context.statements import table
from tenants.registry import plans, states
from tenants.routing.errors import TenantMismatch
from tenants.routing.middleware import tenant_of

_JOIN = sql.SQL(" LEFT JOIN {tokens} token ON token.tenant_id = tenant.id AND token.id = {token_id}")
_COLUMNS = {
    "is_live": Column("boolean", sql.SQL("coalesce(token.expires_at > now(), token.id IS NOT NULL)")),
    "digest": Column("bytea", sql.SQL("token.digest")),
    "last_used_at": Column("timestamptz", sql.SQL("token.last_used_at")),
    "plan": Column("text", sql.SQL("tenant.plan")),
    "request_limit": Column("integer", sql.SQL("tenant.request_limit")),
}


class DirectoryAuthentication(BaseAuthentication):
    """Authenticate a SCIM token and enter its tenant until the request ends, in one statement that also reads what the
    token is checked against.

    What makes accounts cannot work behind a tenant's wall. Such a method is in the view's ``outside_tenant``: its token
    is checked as strictly, and its queries run in no tenant.
    """

    kinds = frozenset({Kind.DIRECTORY})

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        """Return the caller, or None when there are no credentials.

        Raises:
            InvalidRequest: the Authorization header is no single bearer token.
            InvalidToken: it is no SCIM token, or none that is good now.
            TenantMismatch: the request's host belongs to another tenant.
            TenantSuspended: nobody may enter the tenant for now.
        """
        raw = bearer_token(request)
        if raw is None:
            return None
        presented = Presented.parse(raw)
        if presented is None:
            raise InvalidToken
        host_tenant = tenant_of(request._request)
        if host_tenant is not None and host_tenant.id != presented.tenant_id:
            raise TenantMismatch
        view = (request.parser_context or {}).get("view")
        is_outside = request.method in getattr(view, "outside_tenant", ())
        entry = _check(presented, look if is_outside else _entering(request))
        principal = Principal(
            kind=Kind.DIRECTORY,
            id=presented.token_id,
            tenant_id=presented.tenant_id,
            scopes=policy.ceiling(Kind.DIRECTORY),
            requests_per_minute=plans.requests_per_minute(entry.found["plan"], entry.found["request_limit"]),
        )
        identify(principal)
        credentials.note_use(token_id=presented.token_id, last_used_at=entry.found["last_used_at"])
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return f'Bearer realm="{REALM}"'


def _entering(request: Request) -> Callable[..., Entry]:
    def enter(tenant_id: UUID, *, guard: Guard) -> Entry:
        return enter_for_request(request._request, tenant_id, guard=guard)

    return enter


def _check(presented: Presented, enter: Callable[..., Entry]) -> Entry:
    try:
        entry = enter(presented.tenant_id, guard=_pattern().about(token_id=presented.token_id))
    except NoSuchTenant as error:
        raise InvalidToken from error
    digest = entry.found["digest"]
    is_genuine = presented.is_genuine(None if digest is None else bytes(digest))
    if not is_genuine or not entry.found["is_live"]:
        raise InvalidToken
    states.refuse_closed(entry.tenant.status)
    return entry


@entrance
def _pattern() -> Guard:
    joins = _JOIN.format(tokens=table(ScimToken), token_id=sql.Placeholder("token_id"))
    return Guard(_COLUMNS, joins, {"token_id": "uuid"}, entrance="directory")
