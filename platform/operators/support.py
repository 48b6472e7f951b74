"""Platform staff inside a tenant, as far as its owners let them: asking, beginning, ending.

A support access is asked for with a reason, and begins at once where the tenant's policy says so; else an owner decides
about this very one (``operators.consent``), and whoever asked collects the token: once, and soon. It goes on for
``settings.SUPPORT_LIFETIME`` at most, nothing extends it, and it opens one tenant alone. One that reads runs in
transactions that Postgres lets do nothing else (``identity.tokens.liveness``).

Every function is one transaction and holds the tenant first of all, so that what its owners say at the same time takes
turns with it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from identity.mail import services as mail
from identity.members import selectors as members
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from identity.sessions.services import Device
from identity.tokens import services as tokens
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidToken
from identity.tokens.minting import IssuedTokens, mint_for_session
from operators import accesses, selectors
from operators.errors import SupportNotDecided, SupportOpen, SupportOver, SupportRefused
from operators.models import OPEN_STATUSES, Access, Operator, SupportAccess, SupportStatus
from tenants.audit.services import Target, record
from tenants.registry import selectors as registry
from tenants.registry import services as registry_services
from tenants.registry.models import SupportPolicy, Tenant

REQUESTED_MAIL, STARTED_MAIL = "support_requested", "support_started"

# What the trail calls it that an access comes this far.
_ACTIONS = {
    SupportStatus.PENDING: "support_access.requested",
    SupportStatus.APPROVED: "support_access.approved",
    SupportStatus.ACTIVE: "support_access.started",
    SupportStatus.ENDED: "support_access.ended",
    SupportStatus.DENIED: "support_access.denied",
    SupportStatus.EXPIRED: "support_access.expired",
}
_NEEDS_NOBODY = {SupportPolicy.READ: {Access.READ}, SupportPolicy.WRITE: {Access.READ, Access.WRITE}}


def needs_nobody(policy: SupportPolicy, access: str) -> bool:
    """Tell whether staff may do this in a tenant of this policy without asking its owners."""
    return access in _NEEDS_NOBODY.get(policy, ())


@dataclass(frozen=True, kw_only=True)
class Case:
    """Why somebody has to look into a tenant, what they have to do there, and for how many minutes."""

    reason: str
    ticket: str
    access: str = Access.READ.value
    minutes: int = int(settings.SUPPORT_LIFETIME.total_seconds() // 60)


@transaction.atomic
def ask(
    *, user_id: UUID, tenant_id: UUID, case: Case, methods: list[str], device: Device
) -> tuple[SupportAccess, IssuedTokens | None]:
    """Ask to be let into a tenant, and begin if nobody has to decide. Its owners learn of it by mail.

    Returns the access with its token, or without one as long as an owner has to decide.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        TenantSuspended: nobody may enter it.
        SupportRefused: its owners let no staff in.
        SupportOpen: the caller is in there, or has asked to be.
        InvalidToken: the caller is no longer on the staff.
    """
    tenant, operator = _hold(tenant_id, user_id)
    policy = registry.support_policy(tenant_id)
    if policy == SupportPolicy.NEVER:
        raise SupportRefused
    for former in accesses.all_accesses().filter(operator=operator, tenant_id=tenant_id, status__in=OPEN_STATUSES):
        if former.status_now in OPEN_STATUSES:
            raise SupportOpen
        note_over(former)
    row = SupportAccess.objects.create(
        tenant=tenant,
        operator=operator,
        staff_id=user_id,
        staff_name=operator.user.name,
        **asdict(case),
        expires_at=timezone.now() + settings.SUPPORT_REQUEST_LIFETIME,
    )
    told = {name: [None, value] for name, value in asdict(case).items()}
    if needs_nobody(policy, case.access):
        return row, _begin(row, operator, methods, device, told)
    _mail_owners(REQUESTED_MAIL, row)
    record_status(row, told)
    return row, None


@transaction.atomic
def collect(
    *, user_id: UUID, access_id: UUID, methods: list[str], device: Device
) -> tuple[SupportAccess, IssuedTokens]:
    """Begin an access that an owner has approved: once, however many try at the same time.

    Raises:
        SupportAccess.DoesNotExist: the caller has asked for no such access.
        SupportNotDecided: no owner has decided yet.
        SupportOver: it was collected, denied or ended, or its time is over.
        TenantSuspended, InvalidToken: as ``ask``.
    """
    tenant_id = accesses.all_accesses().get(pk=access_id, operator__user_id=user_id).tenant_id
    _, operator = _hold(tenant_id, user_id)
    row = accesses.all_accesses().get(pk=access_id)
    if row.status_now == SupportStatus.PENDING:
        raise SupportNotDecided
    if row.status_now != SupportStatus.APPROVED:
        raise SupportOver
    return row, _begin(row, operator, methods, device, {})


@transaction.atomic
def end(*, access_id: UUID) -> None:
    """End a support access, or take back that one asked for it: its token is refused from the next request on. Ending
    it twice changes nothing.

    Raises:
        SupportAccess.DoesNotExist: there is no such access.
    """
    tenant_id = accesses.all_accesses().get(pk=access_id).tenant_id
    registry_services.hold_tenant(tenant_id=tenant_id)
    row = accesses.all_accesses().get(pk=access_id)
    note_over(row)
    close(row, SupportStatus.ENDED, EndReason.ENDED_BY_STAFF)


@transaction.atomic
def end_all_of(*, operator_id: UUID) -> None:
    """End whatever a member of staff does, or wants to do, inside tenants; each tenant finds it in its trail."""
    own = accesses.all_accesses().filter(operator_id=operator_id, status__in=OPEN_STATUSES)
    for access_id in list(own.order_by("tenant_id").values_list("pk", flat=True)):
        end(access_id=access_id)


def note_all_overdue() -> int:
    """Note in the trail of each tenant which accesses are over by themselves, and return how many: for the schedule."""
    noted = 0
    for access_id, tenant_id in accesses.overdue().values_list("pk", "tenant_id"):
        with transaction.atomic():
            registry_services.hold_tenant(tenant_id=tenant_id)
            row = accesses.all_accesses().get(pk=access_id)
            if row.status in OPEN_STATUSES:
                note_over(row)
                noted += 1
    return noted


def note_over(row: SupportAccess) -> None:
    """Note that an access is over by itself, if it is: by time, or with its session. The caller holds the tenant."""
    status = row.status_now
    if row.status in OPEN_STATUSES and status not in OPEN_STATUSES:
        ended_at = row.session.ended_at if row.session and status == SupportStatus.ENDED else None
        _close(row, status, ended_at or min(row.expires_at, timezone.now()))


def close(row: SupportAccess, status: SupportStatus, reason: EndReason) -> None:
    """Bring an access that is open to its end, and its session with it. The caller holds the tenant."""
    if row.status in OPEN_STATUSES:
        if row.session_id is not None:
            sessions.end_session(session_id=row.session_id, reason=reason)
        _close(row, status, timezone.now())


def record_status(row: SupportAccess, changes: Mapping[str, list[Any]] | None = None) -> None:
    """Write to the tenant's trail how far an access has come."""
    targets = [Target("support_access", row.pk, row.ticket)]
    action = _ACTIONS[SupportStatus(row.status)]
    record(action=action, tenant_id=row.tenant_id, targets=targets, changes=changes)


def mail_variables(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a mail about an access says (a builder of ``identity.mail``); None when there is no such access any
    more, or nothing to decide.
    """
    row = accesses.all_accesses().select_related("tenant").filter(pk=context["access_id"]).first()
    if row is None or (context["is_request"] and row.status_now != SupportStatus.PENDING):
        return None
    return {
        "tenant": row.tenant.name,
        "staff": row.staff_name,
        "reason": row.reason,
        "ticket": row.ticket,
        "writes": row.access == Access.WRITE,
        "minutes": row.minutes,
        "until": row.expires_at,
        "access_id": str(row.pk),
    }


@transaction.atomic
def prune_accesses(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` accesses that were asked for `keep` ago and are over, and return how many."""
    old = SupportAccess.objects.filter(created_at__lt=timezone.now() - keep).exclude(status__in=OPEN_STATUSES)
    batch = list(old.order_by("created_at").select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    SupportAccess.objects.filter(pk__in=batch).delete()
    return len(batch)


def _hold(tenant_id: UUID, user_id: UUID) -> tuple[Tenant, Operator]:
    """Return a tenant that may be entered, held, and the caller's place on the staff."""
    registry_services.hold_tenant(tenant_id=tenant_id)
    tenant = registry.tenant_by_id(tenant_id)
    tokens.refuse_suspended(tenant)
    operator = selectors.active_operator(user_id)
    if operator is None:
        raise InvalidToken
    return tenant, operator


def _begin(
    row: SupportAccess, operator: Operator, methods: list[str], device: Device, told: Mapping[str, list[Any]]
) -> IssuedTokens:
    """Begin an access: the one token of it is what this returns, and nothing is kept to make another one of."""
    lifetime = min(timedelta(minutes=row.minutes), settings.SUPPORT_LIFETIME)
    session = sessions.start_support_session(
        user_id=row.staff_id, tenant_id=row.tenant_id, methods=methods, device=device, lifetime=lifetime
    )
    row.session = session
    row.status = SupportStatus.ACTIVE
    row.started_at, row.expires_at = session.authenticated_at, session.expires_at
    row.save(update_fields=["session", "status", "started_at", "expires_at"])
    _mail_owners(STARTED_MAIL, row)
    authority = Authority.of_support(row.tenant, operator.version, writes=row.access == Access.WRITE)
    issued = mint_for_session(session, authority, authority.scopes(), lifetime=lifetime, actor=row.staff_id)
    record_status(row, told)
    return issued


def _close(row: SupportAccess, status: SupportStatus, ended_at: datetime) -> None:
    row.status, row.ended_at = status, ended_at
    row.save(update_fields=["status", "ended_at", "decided_by", "decided_at"])
    record_status(row)


def _mail_owners(template: str, row: SupportAccess) -> None:
    context = {"access_id": str(row.pk), "is_request": template == REQUESTED_MAIL}
    for address in members.addresses_of_owners(row.tenant_id):
        mail.enqueue(template=template, to=address, context=context, tenant_id=row.tenant_id)
