"""Who outranks whom in a tenant, and who may give which role.

Built-in roles are ranks: owner, admin, member, viewer. A role that a tenant composed has a member's rank, whatever it
holds; between two of one rank, whoever holds all that the other one does, and more, is the stronger one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from permissions import policy, scopes
from permissions.principals import Kind
from permissions.roles import Role

_RANKS = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.VIEWER: 0}


@dataclass(frozen=True)
class Standing:
    """What a role amounts to.

    Attributes:
        scopes: what it lets one do in the tenant; what everybody may do for themselves is left out.
    """

    rank: int
    scopes: frozenset[str]

    @classmethod
    def built_in(cls, role: Role) -> Self:
        """Return the standing of a built-in role."""
        return cls(_RANKS[role], policy.granted(Kind.MEMBER, role) - policy.personal())

    @classmethod
    def composed(cls, chosen: Iterable[str]) -> Self:
        """Return the standing of a role that a tenant composed of these scopes."""
        return cls(_RANKS[Role.MEMBER], policy.composed(chosen) - policy.personal())

    def outranks(self, other: "Standing") -> bool:
        """Tell whether this one is stronger."""
        if self.rank != other.rank:
            return self.rank > other.rank
        return not scopes.missing(self.scopes, other.scopes) and bool(scopes.missing(other.scopes, self.scopes))

    def missing_in(self, held: frozenset[str]) -> frozenset[str]:
        """Return the scopes of this standing that somebody who holds `held` cannot give away."""
        return scopes.missing(held, self.scopes)
