"""The one table of rights: what each scope allows, which built-in roles hold it, which callers may ever hold it.

A scope that is not in the table is in no role and can be held by nobody: silence is denial. The kinds of caller are a
ceiling: whatever a role or a request says, a token of another kind never carries the scope.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Self

from permissions import scopes
from permissions.principals import Kind, Principal
from permissions.roles import OperatorRole, Role
from permissions.scopes import Scope

EVERY_ROLE = frozenset(Role)
FROM_MEMBER = frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER})
FROM_ADMIN = frozenset({Role.OWNER, Role.ADMIN})
PEOPLE = frozenset({Kind.MEMBER})
PEOPLE_AND_CLIENTS = frozenset({Kind.MEMBER, Kind.CLIENT})
READERS = PEOPLE_AND_CLIENTS | {Kind.SUPPORT}
WRITERS = READERS  # and staff in support access, where the tenant lets them write
OWNER_ALONE = frozenset({Role.OWNER})
_OURS = frozenset(Scope)


@dataclass(frozen=True)
class Grant:
    """One row of the table.

    Attributes:
        scope: see ``scopes.PATTERN``.
        description: a sentence for people who decide whether to grant it.
        roles: built-in roles that hold it: tenant roles, or operator roles for a ``platform:`` scope.
        kinds: kinds of caller whose token may ever carry it.
    """

    scope: str
    description: str
    roles: frozenset[Role] | frozenset[OperatorRole]
    kinds: frozenset[Kind]

    def __post_init__(self) -> None:
        if not scopes.PATTERN.fullmatch(self.scope):
            raise ValueError(f"{self.scope!r} is no scope name: see permissions/scopes.py for the grammar.")
        for_operators = scopes.is_operator_scope(self.scope)
        if for_operators != (self.kinds == {Kind.OPERATOR}):
            raise ValueError(f"{self.scope!r}: `platform:` scopes are for operators, and for operators only.")
        if not all(isinstance(role, OperatorRole if for_operators else Role) for role in self.roles):
            raise ValueError(f"{self.scope!r}: tenant roles hold tenant scopes, operator roles hold operator scopes.")
        # A tenant app says itself what staff may write there; of the product's own (who is in, with which rights and
        # credentials, and what staff may do), nothing, whatever a tenant agrees to.
        if Kind.SUPPORT in self.kinds and self.scope in _OURS and not scopes.is_reading(self.scope):
            raise ValueError(f"{self.scope!r}: support access reads what is the product's own.")


_STAFF = frozenset({Kind.OPERATOR})

_table: dict[str, Grant] = {}


@cache  # every request asks
def ceiling(kind: Kind) -> frozenset[str]:
    """Return the scopes that a caller of `kind` may ever hold."""
    return frozenset(grant.scope for grant in _table.values() if kind in grant.kinds)


def register(*grants: Grant) -> None:
    """Add rows to the table; call it from an app's ``ready()``.

    Raises:
        ValueError: another row already speaks for the scope.
    """
    for grant in grants:
        if _table.get(grant.scope, grant) != grant:
            raise ValueError(f"{grant.scope!r} is already declared, differently.")
        _table[grant.scope] = grant
    ceiling.cache_clear()


_ANY_PERSON = PEOPLE | {Kind.PERSON}

register(
    Grant(Scope.PROFILE_READ, "See one's own account and tenants.", EVERY_ROLE, _ANY_PERSON),
    Grant(
        Scope.PROFILE_WRITE,
        "Change one's own account, its address and password, or delete it.",
        EVERY_ROLE,
        _ANY_PERSON,
    ),
    Grant(Scope.TENANTS_WRITE, "Create tenants of one's own, and join others by invitation.", EVERY_ROLE, _ANY_PERSON),
    Grant(Scope.SESSIONS_READ, "See where one is signed in.", EVERY_ROLE, _ANY_PERSON),
    Grant(
        Scope.SESSIONS_WRITE,
        "Enter another of one's tenants, prove again who one is, and end one's own sessions.",
        EVERY_ROLE,
        _ANY_PERSON,
    ),
    Grant(Scope.TENANT_READ, "See the tenant's name and settings.", EVERY_ROLE, READERS),
    Grant(Scope.TENANT_WRITE, "Change the tenant's name and settings.", FROM_ADMIN, PEOPLE),
    Grant(Scope.SIGN_IN_POLICY_READ, "See what the tenant asks of its members' sign-ins.", FROM_ADMIN, PEOPLE),
    Grant(Scope.SIGN_IN_POLICY_WRITE, "Say what the tenant asks of its members' sign-ins.", FROM_ADMIN, PEOPLE),
    Grant(Scope.MEMBERS_READ, "See who is in the tenant and with which role.", EVERY_ROLE, READERS),
    Grant(Scope.MEMBERS_WRITE, "Change roles, suspend, reactivate and remove members.", FROM_ADMIN, PEOPLE),
    Grant(Scope.MEMBER_ADDRESSES_READ, "See members' e-mail addresses.", FROM_MEMBER, PEOPLE_AND_CLIENTS),
    Grant(Scope.INVITATIONS_READ, "See who is invited.", FROM_ADMIN, PEOPLE),
    Grant(Scope.INVITATIONS_WRITE, "Invite people, up to one's own role.", FROM_ADMIN, PEOPLE),
    Grant(Scope.ROLES_READ, "See the tenant's roles, and what each scope allows.", EVERY_ROLE, PEOPLE),
    Grant(Scope.ROLES_WRITE, "Compose roles from scopes that one holds.", FROM_ADMIN, PEOPLE),
    Grant(Scope.DOMAINS_READ, "See the tenant's domains.", FROM_ADMIN, PEOPLE),
    Grant(Scope.DOMAINS_WRITE, "Add, prove and remove domains, and say who joins by them.", FROM_ADMIN, PEOPLE),
    Grant(Scope.AUDIT_EVENTS_READ, "Read, export and verify the audit trail.", FROM_ADMIN, PEOPLE_AND_CLIENTS),
    Grant(Scope.CLIENTS_READ, "See the tenant's machine clients.", FROM_ADMIN, PEOPLE),
    Grant(Scope.CLIENTS_WRITE, "Create, change and delete machine clients and their secrets.", FROM_ADMIN, PEOPLE),
    Grant(Scope.SSO_READ, "See how members sign in by the tenant's own provider.", FROM_ADMIN, PEOPLE),
    Grant(Scope.SSO_WRITE, "Connect the tenant's own provider, and say whom it lets in as what.", FROM_ADMIN, PEOPLE),
    Grant(Scope.APPLICATIONS_READ, "See the third-party applications that act for members.", FROM_ADMIN, PEOPLE),
    Grant(
        Scope.APPLICATIONS_WRITE,
        "Register, change and delete third-party applications and their secrets.",
        FROM_ADMIN,
        PEOPLE,
    ),
    Grant(Scope.SCIM_READ, "See the tokens of the tenant's directory, and its groups.", FROM_ADMIN, PEOPLE),
    Grant(Scope.SCIM_WRITE, "Create and revoke such tokens, and say which role a group gives.", FROM_ADMIN, PEOPLE),
    Grant(Scope.DIRECTORY_READ, "Read people and groups by SCIM.", frozenset(), frozenset({Kind.DIRECTORY})),
    Grant(Scope.DIRECTORY_WRITE, "Provision people and groups by SCIM.", frozenset(), frozenset({Kind.DIRECTORY})),
    Grant(
        Scope.PLATFORM_PROFILE_READ,
        "See one's own place on the staff, and where one is signed in as staff.",
        frozenset(OperatorRole),
        _STAFF,
    ),
    Grant(Scope.PLATFORM_PROFILE_WRITE, "End one's own sessions as staff.", frozenset(OperatorRole), _STAFF),
    Grant(
        Scope.PLATFORM_STAFF_READ,
        "See who is on the staff and as what.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_STAFF_WRITE,
        "Put people on the staff, change their role, disable and remove them.",
        frozenset({OperatorRole.ADMIN}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_AUDIT_EVENTS_READ,
        "Read, export and verify the platform's audit trail, and every tenant's.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(
        Scope.SUPPORT_ACCESS_READ,
        "See when platform staff looked into the tenant, why, and who wants to.",
        FROM_ADMIN,
        PEOPLE,
    ),
    Grant(
        Scope.SUPPORT_ACCESS_WRITE,
        "Let platform staff in or keep them out: decide about requests, and say what needs none.",
        OWNER_ALONE,
        PEOPLE,
    ),
    Grant(Scope.SUPPORT_SESSIONS_WRITE, "End a support access that is under way.", FROM_ADMIN, PEOPLE),
    Grant(Scope.PLATFORM_TENANTS_READ, "See every tenant of the platform.", frozenset(OperatorRole), _STAFF),
    Grant(
        Scope.PLATFORM_TENANTS_WRITE,
        "Create, suspend, archive and delete tenants, and bring them back.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(Scope.PLATFORM_SUPPORT_READ, "See who looked into which tenant, and why.", frozenset(OperatorRole), _STAFF),
    Grant(Scope.PLATFORM_SUPPORT_WRITE, "Look into a tenant to help it.", frozenset(OperatorRole), _STAFF),
    Grant(
        Scope.PLATFORM_EXPORTS_READ,
        "Download exports: all of a tenant's data.",
        frozenset({OperatorRole.ADMIN}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_EXPORTS_WRITE,
        "Export and restore tenants, and copy them with their data.",
        frozenset({OperatorRole.ADMIN}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_FLEET_READ,
        "See which tenants are behind, differ or failed.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(Scope.PLATFORM_FLEET_WRITE, "Migrate all tenants.", frozenset({OperatorRole.ADMIN}), _STAFF),
    Grant(
        Scope.PLATFORM_JOBS_READ,
        "See long work and how far it is.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_JOBS_WRITE,
        "Cancel long work.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(
        Scope.PLATFORM_KEYS_READ,
        "See the keys that sign tokens.",
        frozenset({OperatorRole.ADMIN, OperatorRole.OPERATOR}),
        _STAFF,
    ),
    Grant(Scope.PLATFORM_KEYS_WRITE, "Rotate and retire them.", frozenset({OperatorRole.ADMIN}), _STAFF),
)


def table() -> Mapping[str, Grant]:
    """Return every declared scope's row, by scope name in alphabetical order."""
    return dict(sorted(_table.items()))


def granted(kind: Kind, role: str | None) -> frozenset[str]:
    """Return the scopes a caller of `kind` holds through built-in `role`.

    A person inside no tenant and platform staff in support access have no role; they hold what their kind may hold.
    Anybody else without a role holds nothing.
    """
    without_role = kind in {Kind.PERSON, Kind.SUPPORT}
    return frozenset(
        grant.scope for grant in _table.values() if kind in grant.kinds and (without_role or role in grant.roles)
    )


def personal() -> frozenset[str]:
    """Return the scopes about oneself: every person holds them, in whichever role, and in no tenant at all."""
    return ceiling(Kind.PERSON)


def grantable() -> frozenset[str]:
    """Return the scopes that a tenant may compose roles of."""
    return ceiling(Kind.MEMBER) - personal()


def delegable() -> frozenset[str]:
    """Return the scopes with which a third-party application may act for a member: nothing about the person themselves,
    and nothing that is kept from programs. What no machine client may hold in its own name, no application holds in
    somebody else's.
    """
    return grantable() & ceiling(Kind.CLIENT)


def composed(chosen: Iterable[str]) -> frozenset[str]:
    """Return the scopes that a member holds through a role composed of `chosen`."""
    return (frozenset(chosen) & grantable()) | personal()


def narrow(held: frozenset[str], requested: Iterable[str]) -> frozenset[str]:
    """Return what of `requested` is covered by `held`; all of `held` when nothing is requested.

    Asking for ``read`` while holding only the ``write`` of the same resource gives ``read``.
    """
    wanted = frozenset(requested)
    return frozenset(scope for scope in wanted if scopes.holds(held, scope)) if wanted else held


class Reason(StrEnum):
    """Why a request was refused; also the problem's ``code``."""

    NOT_AUTHENTICATED = "not_authenticated"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    UNDECLARED = "undeclared_endpoint"
    SIGN_IN_TOO_OLD = "insufficient_user_authentication"


@dataclass(frozen=True)
class Decision:
    """The answer to "may they?": allowed, or refused with a reason. True when allowed."""

    reason: Reason | None = None
    missing: frozenset[str] = field(default=frozenset())

    @classmethod
    def allow(cls) -> Self:
        return cls()

    def __bool__(self) -> bool:
        return self.reason is None


def decide(principal: Principal, required: frozenset[str] | None, *, signed_in_since: float | None = None) -> Decision:
    """Decide whether `principal` may do what needs all of `required`; None means that nothing was declared.

    Args:
        signed_in_since: they must have proved who they are after this moment (seconds since the epoch).
    """
    if not required:
        return Decision(Reason.UNDECLARED)
    if not principal.is_authenticated:
        return Decision(Reason.NOT_AUTHENTICATED, required)
    missing = scopes.missing(principal.scopes, required)
    if missing:
        return Decision(Reason.INSUFFICIENT_SCOPE, missing)
    if signed_in_since is not None and (principal.authenticated_at or 0) < signed_in_since:
        return Decision(Reason.SIGN_IN_TOO_OLD)
    return Decision.allow()
