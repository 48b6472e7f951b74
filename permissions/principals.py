"""The one type for whoever is calling."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What sort of caller a principal is."""

    ANONYMOUS = "anonymous"
    PERSON = "person"  # signed in, but inside no tenant
    MEMBER = "member"
    CLIENT = "client"
    SUPPORT = "support"  # platform staff inside a tenant
    DIRECTORY = "directory"  # a tenant's own directory of people, by its SCIM token
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is calling and what they may do, as proved for this one request.

    It is ``request.user`` and ``request.auth`` in every view. It answers Django's and DRF's questions of a user
    (``is_authenticated``, ``pk``, ``is_active``) without a query, and has no attribute that grants by accident:
    ``is_staff`` and ``is_superuser`` do not exist here.

    Attributes:
        id: the person's, client's or staff member's id; None for nobody.
        tenant_id: the tenant the token was issued for; None outside any tenant.
        scopes: what the token grants, never wider than role and kind allow.
        session_id: the sign-in this token belongs to.
        actor: who is really acting, in support access (RFC 8693 ``act``).
        application_id: the third-party application that acts for the person; None for ours, and for machines.
        only_tenant_id: the one tenant that their sign-in is good for, where it is good for no other.
        requests_per_minute: how many requests the tenant has, for all its callers together; None: as many as there are.
        authenticated_at: when the person last proved who they are, in seconds since the epoch; None for machines.
        has_second_factor: whether they did so by more than one kind of thing.
    """

    kind: Kind
    id: UUID | None = None
    tenant_id: UUID | None = None
    role: str | None = None
    scopes: frozenset[str] = frozenset()
    session_id: UUID | None = None
    actor: UUID | None = None
    application_id: UUID | None = None
    authenticated_at: int | None = None
    only_tenant_id: UUID | None = None
    has_second_factor: bool = False
    requests_per_minute: int | None = None

    @property
    def pk(self) -> UUID | None:
        return self.id

    @property
    def is_authenticated(self) -> bool:
        return self.kind is not Kind.ANONYMOUS

    @property
    def is_anonymous(self) -> bool:
        return self.kind is Kind.ANONYMOUS

    @property
    def is_active(self) -> bool:
        return self.is_authenticated

    @property
    def throttle_key(self) -> str:
        """The same string for the same caller, whichever of their tokens they use."""
        return f"{self.kind}:{self.id}"


ANONYMOUS = Principal(kind=Kind.ANONYMOUS)


def anonymous() -> Principal:
    """Return the principal of a request without credentials (DRF's ``UNAUTHENTICATED_USER``)."""
    return ANONYMOUS
