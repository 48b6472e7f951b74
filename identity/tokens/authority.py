"""What somebody may do, as the database has it at the moment a token is made."""

from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from identity.clients.models import Client
from identity.members.models import Membership
from identity.tokens.errors import SessionOfOneTenant
from permissions import policy
from permissions.principals import Kind
from permissions.scopes import Scope, is_reading
from tenants.registry.models import Tenant

# What is the person's own and no tenant's: whoever vouches for them in one tenant alone has no hand in it.
_OF_THE_PERSON = frozenset({Scope.PROFILE_WRITE, Scope.TENANTS_WRITE, Scope.SESSIONS_READ, Scope.SESSIONS_WRITE})


@dataclass(frozen=True)
class Authority:
    """Whose kind, in which tenant, with which scopes, and under which version of all that.

    Attributes:
        held: role ∩ kind of caller, or what a client was given ∩ kind of caller.
    """

    kind: Kind
    held: frozenset[str]
    role: str | None = None
    version: int = 0
    tenant: Tenant | None = None

    @classmethod
    def of_role(cls, kind: Kind, role: str | None, version: int, tenant: Tenant | None = None) -> Self:
        """Return what a built-in role gives."""
        return cls(kind, policy.granted(kind, role), role, version, tenant)

    @classmethod
    def of_person(cls, membership: Membership | None) -> Self:
        """Return what a member may do in their tenant, or a person outside any."""
        if membership is None:
            return cls.of_role(Kind.PERSON, None, 0)
        held = (
            policy.composed(membership.custom_role.scopes)
            if membership.custom_role
            else policy.granted(Kind.MEMBER, membership.role)
        )
        return cls(Kind.MEMBER, held, membership.role, membership.version, membership.tenant)

    @classmethod
    def of_client(cls, client: Client) -> Self:
        """Return what a machine client may do."""
        held = policy.narrow(policy.ceiling(Kind.CLIENT), client.scopes)
        return cls(Kind.CLIENT, held, None, client.version, client.tenant)

    @classmethod
    def of_support(cls, tenant: Tenant, version: int, *, writes: bool) -> Self:
        """Return what a member of the platform's staff, whose own version is given, may do in a tenant: read and, where
        the tenant lets them, write what its apps open to support access.
        """
        held = policy.granted(Kind.SUPPORT, None)
        return cls(Kind.SUPPORT, held if writes else frozenset(filter(is_reading, held)), None, version, tenant)

    def bound_to(self, tenant_id: UUID | None) -> Self:
        """Return what is left of it in a session that is good for one tenant alone, where it is one: nothing that
        concerns the person's own account.

        Raises:
            SessionOfOneTenant: it is another tenant's, or none's.
        """
        if tenant_id is None:
            return self
        if self.tenant is None or self.tenant.pk != tenant_id:
            raise SessionOfOneTenant
        return replace(self, held=self.held - _OF_THE_PERSON)

    def through(self, application_id: UUID | None) -> Self:
        """Return what is left of it where a third-party application acts for the person, if one does."""
        return self if application_id is None else replace(self, held=self.held & policy.delegable())

    def scopes(self, *requests: str) -> frozenset[str]:
        """Return what is left of `held` after each of `requests` (space-separated; an empty one asks for all of it)."""
        left = self.held
        for request in requests:
            left = policy.narrow(left, request.split())
        return left
