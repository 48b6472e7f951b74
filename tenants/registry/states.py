"""The life of a tenant as a table: which state may follow which, and what the audit trail calls it.

A tenant that was deleted is no tenant any more, so that state has no row here.
"""

from tenants.registry.errors import TenantArchived, TenantSuspended, WrongState
from tenants.registry.models import TenantStatus

_S = TenantStatus
TRANSITIONS: dict[tuple[str, str], str] = {
    (_S.REQUESTED, _S.PROVISIONING): "tenant.provisioning_started",
    (_S.REQUESTED, _S.FAILED): "tenant.failed",
    (_S.PROVISIONING, _S.ACTIVE): "tenant.activated",
    (_S.PROVISIONING, _S.FAILED): "tenant.failed",
    (_S.ACTIVE, _S.SUSPENDED): "tenant.suspended",
    (_S.SUSPENDED, _S.ACTIVE): "tenant.resumed",
    (_S.ACTIVE, _S.ARCHIVED): "tenant.archived",
    (_S.SUSPENDED, _S.ARCHIVED): "tenant.archived",
    (_S.ARCHIVED, _S.ACTIVE): "tenant.restored",
    (_S.ACTIVE, _S.DELETING): "tenant.deletion_started",
    (_S.SUSPENDED, _S.DELETING): "tenant.deletion_started",
    (_S.ARCHIVED, _S.DELETING): "tenant.deletion_started",
    (_S.FAILED, _S.DELETING): "tenant.deletion_started",
    # Its tables are gone, or are not what they should be, and nobody knows why.
    (_S.ACTIVE, _S.FAILED): "tenant.failed",
    (_S.SUSPENDED, _S.FAILED): "tenant.failed",
    (_S.ARCHIVED, _S.FAILED): "tenant.failed",
    (_S.FAILED, _S.PROVISIONING): "tenant.provisioning_started",
}
OPEN_STATES = frozenset({_S.ACTIVE})  # those in which a tenant can be entered


def transition(present: str, wanted: str) -> str:
    """Return what the audit trail calls the way from one state to another.

    Raises:
        WrongState: there is none.
    """
    action = TRANSITIONS.get((present, wanted))
    if action is None:
        raise WrongState(present, wanted)
    return action


def refuse_closed(status: str) -> None:
    """Refuse to enter a tenant in a state in which it cannot be.

    Raises:
        TenantSuspended: it is closed; a ``TenantArchived``, if it is archived.
    """
    if status == TenantStatus.ARCHIVED:
        raise TenantArchived
    if status not in OPEN_STATES:
        raise TenantSuspended
