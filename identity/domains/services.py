"""Claiming domains, proving them, and joining by them: every function is one transaction, but for what asks the DNS.

`by` is the caller's account, and `held` what their own token holds: nobody lets others in with more than that.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from identity.domains import dns, selectors
from identity.domains.errors import DomainClaimed, DomainClaimLapsed, DomainNotProved, DomainTaken, TooManyDomains
from identity.domains.models import ClaimStatus, DomainClaim
from identity.domains.names import normalize_domain, refuse_unfit
from identity.domains.signals import proof_ended
from identity.invitations import selectors as invitations
from identity.invitations.models import InvitationStatus
from identity.members import selectors as members
from identity.members import services as memberships
from identity.members.errors import AlreadyMember, SeatLimit
from identity.roles import selectors as roles
from identity.roles.selectors import TenantRole
from tenants.audit.services import Target, record
from tenants.context.entry import enter
from tenants.context.ownership import current_alias
from tenants.registry import services as registry


class Outcome(StrEnum):
    """What became of a claim that was due."""

    PROVED = "proved"  # again
    MISSING = "missing"  # its record; the proof holds for now
    LAPSED = "lapsed"
    GONE = "gone"  # somebody removed it meanwhile


@transaction.atomic
def add_domain(
    *, tenant_id: UUID, domain: str, auto_join: bool, join_role: str, by: UUID, held: frozenset[str]
) -> DomainClaim:
    """Say that a domain is the tenant's. It is proved by a record in its DNS.

    Raises:
        ValidationError: it is no domain, or none that a tenant can have; or the role is none, or lets people do more
            than a member.
        Outranked, ScopeNotHeld: people would join with more than the caller has.
        DomainClaimed: the tenant has added it already, and that has not lapsed.
        TooManyDomains: it has as many as there can be.
    """
    name = _fit_name(domain)
    registry.hold_tenant(tenant_id=tenant_id)
    role = _fit_role(tenant_id, join_role)
    if auto_join:
        memberships.refuse_to_give(tenant_id=tenant_id, by=by, wanted=role.standing, held=held)
    own = DomainClaim.objects.filter(tenant_id=tenant_id)
    selectors.with_status(own.filter(domain=name), ClaimStatus.LAPSED).delete()
    if own.filter(domain=name).exists():
        raise DomainClaimed
    if own.count() >= settings.DOMAIN_LIMIT:
        raise TooManyDomains
    claim = DomainClaim.objects.create(
        tenant_id=tenant_id,
        domain=name,
        auto_join=auto_join,
        join_role=role.name,
        custom_role=role.custom,
        expires_at=timezone.now() + settings.DOMAIN_CLAIM_LIFETIME,
    )
    _record("domain.added", claim, {"auto_join": [None, auto_join], "join_role": [None, role.name]})
    return claim


@transaction.atomic
def change_domain(
    *, tenant_id: UUID, claim_id: UUID, by: UUID, held: frozenset[str], changes: Mapping[str, Any]
) -> DomainClaim:
    """Change who joins by a domain.

    Args:
        changes: any of ``auto_join`` and ``join_role``.

    Raises:
        DomainClaim.DoesNotExist: the tenant has no such claim.
        ValidationError, Outranked, ScopeNotHeld: as ``add_domain``.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    claim = _locked(tenant_id, claim_id)
    before = {"auto_join": claim.auto_join, "join_role": claim.join_role}
    after: dict[str, Any] = {**before, **changes}
    if after == before:
        return claim
    if after["auto_join"] or "join_role" in changes:
        role = _fit_role(tenant_id, after["join_role"])
        claim.join_role, claim.custom_role = role.name, role.custom
    claim.auto_join = after["auto_join"]
    if claim.auto_join:
        memberships.refuse_to_give(tenant_id=tenant_id, by=by, wanted=claim.tenant_role.standing, held=held)
    claim.save(update_fields=["auto_join", "join_role", "custom_role"])
    _record("domain.changed", claim, {key: [before[key], after[key]] for key in after if before[key] != after[key]})
    return claim


@transaction.atomic
def remove_domain(*, tenant_id: UUID, claim_id: UUID) -> None:
    """Give a domain up: nobody joins by it any more, and another tenant may prove it. Members stay.

    Raises:
        DomainClaim.DoesNotExist: the tenant has no such claim.
    """
    claim = _locked(tenant_id, claim_id)
    DomainClaim.objects.filter(pk=claim.pk).delete()
    _tell_of_end(claim)
    _record("domain.removed", claim, {"status": [claim.status.value, None]})


def prove(*, tenant_id: UUID, claim_id: UUID) -> DomainClaim:
    """Look for a claim's record in the DNS, and if it is there take the domain as proved from now on, or for longer.

    It enters the tenant twice. In between, while the DNS is asked, nothing is locked, and no connection to the database
    is kept from others: whose domain it is chooses who answers, and how slowly.

    Raises:
        DomainClaim.DoesNotExist: the tenant has no such claim.
        DomainClaimLapsed: it was not proved in time.
        DomainNotProved: the record is not there, or the DNS does not answer; a proof that holds goes on to do so.
        DomainTaken: another tenant's proof holds.
    """
    with enter(tenant_id):
        claim = DomainClaim.objects.get(pk=claim_id, tenant_id=tenant_id)
    if claim.proved_at is None and claim.status == ClaimStatus.LAPSED:
        raise DomainClaimLapsed
    _let_go()
    found = _look_for(claim)
    is_there = found is not None and claim.record.value in found
    with enter(tenant_id):
        claim = _keep_proof(tenant_id, claim_id) if is_there else _note_look(tenant_id, claim_id)
    if not is_there:
        raise DomainNotProved(claim.record.name, found)
    return claim


def look_after(*, tenant_id: UUID, claim_id: UUID) -> Outcome:
    """Prove a claim again, or note that its time is over; for claims that are due."""
    try:
        prove(tenant_id=tenant_id, claim_id=claim_id)
    except DomainClaim.DoesNotExist:
        return Outcome.GONE
    except (DomainClaimLapsed, DomainNotProved, DomainTaken):
        with enter(tenant_id):
            return Outcome.LAPSED if _note_lapse(tenant_id, claim_id) else Outcome.MISSING
    return Outcome.PROVED


@transaction.atomic
def join(*, user_id: UUID, email: str) -> None:
    """Make whoever proved an address a member of the tenant whose domain it is at, if that is the tenant's will.

    A pending invitation goes first: it says with which role they join, and they have it. Who was thrown out of the
    tenant does not come back this way, with a new account. Where no seat is left nobody joins, and the trail says so.
    """
    claim = selectors.joined_from(email).first()
    if claim is None:
        return
    registry.hold_tenant(tenant_id=claim.tenant_id)
    claim = selectors.joined_from(email).filter(tenant_id=claim.tenant_id).first()  # as it is now
    if claim is None or _is_invited(claim.tenant_id, email):
        return
    if members.is_barred(tenant_id=claim.tenant_id, email=email):
        return
    try:
        with transaction.atomic():
            memberships.add_member(tenant_id=claim.tenant_id, user_id=user_id, role=claim.join_role, reason="domain")
    except AlreadyMember:
        pass
    except SeatLimit:  # their address is proved all the same
        refused = [Target("domain", claim.pk, claim.domain), Target("account", user_id)]
        record(action="domain.join_refused", tenant_id=claim.tenant_id, targets=refused, person=user_id)


@transaction.atomic
def prune_claims(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` claims whose end was noted `keep` ago, and return how many."""
    old = DomainClaim.objects.filter(lapsed_at__lt=timezone.now() - keep).order_by("lapsed_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    DomainClaim.objects.filter(pk__in=batch).delete()
    return len(batch)


def switch_off(claim: DomainClaim, *, join_role: str) -> None:
    """Let nobody join by a domain, because its role lets people do too much now. Part of the role's change.

    Args:
        join_role: the role's name before.
    """
    DomainClaim.objects.filter(pk=claim.pk).update(auto_join=False)
    _record("domain.changed", claim, {"auto_join": [True, False], "join_role": [join_role, claim.join_role]})


def _fit_name(domain: str) -> str:
    try:
        name = normalize_domain(domain)
        refuse_unfit(name)
    except ValidationError as error:
        raise ValidationError({"domain": error}) from None
    return name


def _fit_role(tenant_id: UUID, name: str) -> TenantRole:
    role = roles.role_by_name(tenant_id=tenant_id, name=name, field="join_role", lock=True)
    if not selectors.is_fit(role):
        message = "Whoever joins by a domain gets a role with no more than a member's scopes."
        raise ValidationError({"join_role": ValidationError(message, code="unfit_role")})
    return role


def _let_go() -> None:
    """Give this thread's connection back to the pool, if no transaction needs it."""
    connection = connections[current_alias()]
    if not connection.in_atomic_block:
        connection.close()


def _look_for(claim: DomainClaim) -> list[str] | None:
    try:
        return dns.txt_records(claim.record.name)
    except dns.NoAnswer:
        return None


@transaction.atomic
def _keep_proof(tenant_id: UUID, claim_id: UUID) -> DomainClaim:
    claim = _locked(tenant_id, claim_id)
    _hold_name(claim.domain)
    now, before = timezone.now(), claim.expires_at if claim.proved_at else None
    if claim.status != ClaimStatus.PROVED:
        claim.proved_at = now
    claim.expires_at = now + settings.DOMAIN_PROOF_LIFETIME
    claim.checked_at, claim.lapsed_at = now, None
    try:
        with transaction.atomic():
            claim.save(update_fields=["proved_at", "expires_at", "checked_at", "lapsed_at"])
    except IntegrityError:
        raise DomainTaken from None
    _record("domain.proved", claim, {"expires_at": [before, claim.expires_at]})
    return claim


@transaction.atomic
def _note_look(tenant_id: UUID, claim_id: UUID) -> DomainClaim:
    claim = _locked(tenant_id, claim_id)
    claim.checked_at = timezone.now()
    claim.save(update_fields=["checked_at"])
    return claim


@transaction.atomic
def _note_lapse(tenant_id: UUID, claim_id: UUID) -> bool:
    """Note that a claim's time is over, once; tell whether it is."""
    claim = DomainClaim.objects.select_for_update().filter(pk=claim_id, tenant_id=tenant_id).first()
    if claim is None or claim.status != ClaimStatus.LAPSED:
        return False
    if claim.lapsed_at is None:
        claim.lapsed_at = timezone.now()
        claim.save(update_fields=["lapsed_at"])
        _tell_of_end(claim)
        former = ClaimStatus.PENDING if claim.proved_at is None else ClaimStatus.PROVED
        _record("domain.lapsed", claim, {"status": [former.value, ClaimStatus.LAPSED.value]})
    return True


def _tell_of_end(claim: DomainClaim) -> None:
    if claim.proved_at is not None:
        proof_ended.send(sender=DomainClaim, tenant_id=claim.tenant_id, domain=claim.domain)


def _is_invited(tenant_id: UUID, email: str) -> bool:
    own = invitations.invitations_of(tenant_id).filter(email=email)
    return invitations.with_status(own, InvitationStatus.PENDING).exists()


def _hold_name(domain: str) -> None:
    """One proof of a domain at a time: of two at once, each would wait for the other in the constraint's index."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('domains ' || %s, 0))", [domain])


def _locked(tenant_id: UUID, claim_id: UUID) -> DomainClaim:
    rows = DomainClaim.objects.select_related("custom_role").select_for_update(of=("self",))
    return rows.get(pk=claim_id, tenant_id=tenant_id)


def _record(action: str, claim: DomainClaim, changes: dict[str, list[Any]]) -> None:
    targets = [Target("domain", claim.pk, claim.domain)]
    record(action=action, tenant_id=claim.tenant_id, targets=targets, changes=changes)
