"""What a tenant's directory does with people: every function is one transaction, and holds the tenant first of all, so
that what a directory asks for at once is done one after the other.

A user is a membership. Its person's account is never a tenant's: it is made where there is none, at a domain that the
tenant has proved, and nothing of it changes by what the directory says later. The same answer, for the same work,
whether there was an account or not.
"""

import json
from collections.abc import Callable
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower
from scim2_models import PatchOp

from identity.accounts import services as accounts
from identity.accounts.models import normalize_email
from identity.domains import selectors as domains
from identity.domains.models import DomainClaim
from identity.members import services as memberships
from identity.members.errors import AlreadyMember
from identity.members.models import Membership, MembershipStatus
from identity.roles.selectors import TenantRole
from identity.scim import resources, selectors
from identity.scim.errors import ForeignAddress, ScimRefusal, ScimUniqueness, VersionMismatch
from identity.scim.models import ScimUser, primary_email
from identity.scim.resources import User
from permissions.roles import Role
from tenants.audit.services import Target, record
from tenants.registry import services as registry

_ATTRIBUTE_BYTES = 16 * 1024  # of what is kept of one user


@transaction.atomic
def create_user(*, tenant_id: UUID, wanted: User, base: str) -> User:
    """Make a person at one of the tenant's proved domains a member, as their directory describes them. It works outside
    the tenant, because a tenant makes no accounts.

    Somebody whom the directory, or an administrator, had removed is back by this.

    Raises:
        ScimRefusal: there is no address in it, or it is too large.
        ForeignAddress: the address is at no domain that the tenant has proved.
        ScimUniqueness: the tenant has a user of this name, address or external id.
        SeatLimit: the tenant has as many active members as it may.
    """
    attributes = _kept(wanted)
    address = _address(wanted)
    registry.hold_tenant(tenant_id=tenant_id)
    claim = domains.proof_of(tenant_id=tenant_id, email=address)
    _refuse_taken(tenant_id, wanted, besides=None)
    if claim is None:
        raise ForeignAddress
    name = wanted.display_name or (wanted.name.formatted if wanted.name else None) or ""
    account = accounts.vouch_for(email=address, name=name[:120])
    try:
        with transaction.atomic():
            member = memberships.add_member(
                tenant_id=tenant_id,
                user_id=account.pk,
                role=_role_of_domain(claim).name,
                reason="directory",
                status=MembershipStatus.SUSPENDED if wanted.active is False else MembershipStatus.ACTIVE,
            )
    except AlreadyMember:
        raise ScimUniqueness("A member of the tenant has this address.") from None
    ScimUser.objects.create(
        tenant_id=tenant_id,
        membership=member,
        user_name=wanted.user_name or "",
        external_id=wanted.external_id or "",
        attributes=attributes,
    )
    return _shown(tenant_id, member.pk, base)


@transaction.atomic
def replace_user(*, tenant_id: UUID, user_id: UUID, wanted: User, if_match: str | None, base: str) -> User:
    """Describe a user anew (PUT). Whether they are active changes only where it is said.

    Args:
        if_match: the version that it has to have; None for any.

    Raises:
        Membership.DoesNotExist: the tenant has no such user.
        VersionMismatch: it has another version.
        ScimRefusal, ScimUniqueness, OwnerProtected, SeatLimit: as ``create_user`` and ``provision_status``.
    """

    def replaced(present: User) -> User:
        if wanted.active is None:
            wanted.active = present.active
        wanted.replace(present)
        return wanted

    return _change(tenant_id, user_id, replaced, if_match=if_match, base=base)


@transaction.atomic
def patch_user(*, tenant_id: UUID, user_id: UUID, patch: PatchOp[User], if_match: str | None, base: str) -> User:
    """Change single attributes of a user (PATCH): all of it, or nothing. Raises as ``replace_user``, and what
    ``PatchOp.patch`` raises.
    """

    def patched(present: User) -> User:
        patch.patch(present, scim_policy=resources.POLICY)
        if present.active is None:
            raise ScimRefusal("A user is active or not: that cannot be removed.", scim_type="mutability")
        return present

    return _change(tenant_id, user_id, patched, if_match=if_match, base=base)


@transaction.atomic
def delete_user(*, tenant_id: UUID, user_id: UUID, if_match: str | None, base: str) -> None:
    """Remove a member; their account stays. Their tokens for the tenant are refused from the next request on.

    Raises:
        Membership.DoesNotExist: the tenant has no such user.
        VersionMismatch: it has another version.
        OwnerProtected: they are an owner.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    refuse_version(present=resources.version_of(_shown(tenant_id, user_id, base)), if_match=if_match)
    memberships.deprovision(tenant_id=tenant_id, membership_id=user_id)


def refuse_version(*, present: str, if_match: str | None) -> None:
    """Refuse a change of another version than the caller has seen (RFC 9110 section 13.1.1, by weak comparison).

    Raises:
        VersionMismatch: it is another one.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if present.removeprefix("W/") not in {tag.strip().removeprefix("W/") for tag in if_match.split(",")}:
        raise VersionMismatch


def settle_role(*, tenant_id: UUID, membership_id: UUID) -> None:
    """Give a member the strongest role of their groups; where none gives one, that of their address's domain, else a
    viewer's. Part of what changed the groups. An owner stays one.
    """
    given = [role for group in selectors.groups_with_role(membership_id) if (role := group.tenant_role)]
    strongest = next(
        (role for role in given if not any(other.standing.outranks(role.standing) for other in given)), None
    )
    if strongest is None:
        member = selectors.users_of(tenant_id).get(pk=membership_id)
        claim = domains.proof_of(tenant_id=tenant_id, email=member.user.email)
        strongest = _role_of_domain(claim)
    memberships.provision_role(tenant_id=tenant_id, membership_id=membership_id, role=strongest)


def _role_of_domain(claim: DomainClaim | None) -> TenantRole:
    """Return the role that comes with a domain: never more than a member's, whatever became of it."""
    if claim is not None and domains.is_fit(claim.tenant_role):
        return claim.tenant_role
    return TenantRole(Role.VIEWER.value)


def _change(tenant_id: UUID, user_id: UUID, change: Callable[[User], User], *, if_match: str | None, base: str) -> User:
    registry.hold_tenant(tenant_id=tenant_id)
    before = _shown(tenant_id, user_id, base)
    refuse_version(present=resources.version_of(before), if_match=if_match)
    after = change(before.model_copy(deep=True))
    if resources.version_of(after) == resources.version_of(before):
        return before
    attributes = _kept(after)
    _refuse_taken(tenant_id, after, besides=user_id)
    described = {"user_name": after.user_name, "external_id": after.external_id or "", "attributes": attributes}
    ScimUser.objects.update_or_create(tenant_id=tenant_id, membership_id=user_id, defaults=described)
    if after.active != before.active:
        memberships.provision_status(tenant_id=tenant_id, membership_id=user_id, is_active=bool(after.active))
    changed = _names_of_changes(before, after)
    if changed:
        record(
            action="scim_user.changed",
            tenant_id=tenant_id,
            targets=[Target("member", user_id)],
            changes={"attributes": [None, changed]},
        )
    return _shown(tenant_id, user_id, base)


def _names_of_changes(before: User, after: User) -> list[str]:
    """Return which attributes changed: what they say of a person does not belong into the trail."""
    old, new = resources.dump(before), resources.dump(after)
    names = (old.keys() | new.keys()) - {"meta", "active", "groups", "roles", "schemas"}
    return sorted(name for name in names if old.get(name) != new.get(name))


def _shown(tenant_id: UUID, user_id: UUID, base: str) -> User:
    return resources.user_resource(selectors.users_of(tenant_id).get(pk=user_id), base)


def _kept(user: User) -> dict[str, object]:
    attributes = resources.attributes_of(user)
    if not (user.user_name or "").strip():
        raise ScimRefusal("A user has a userName.", scim_type="invalidValue")
    if len(json.dumps(attributes)) > _ATTRIBUTE_BYTES:
        raise ScimRefusal("There is too much about this user.", scim_type="invalidValue")
    return attributes


def _address(user: User) -> str:
    """Return the address of a new user: the primary one, else the first, else the name where that is one."""
    address = normalize_email(primary_email(resources.attributes_of(user)) or user.user_name or "")
    try:
        validate_email(address)
    except ValidationError:
        raise ScimRefusal("A user has an e-mail address, or one as userName.", scim_type="invalidValue") from None
    return address


def _refuse_taken(tenant_id: UUID, user: User, *, besides: UUID | None) -> None:
    """Refuse a name, or an external id, that another user has; the tenant is held, so nobody takes it meanwhile."""
    name = (user.user_name or "").lower()
    is_other = ~Q(membership_id=besides) if besides else Q()
    others = ScimUser.objects.filter(is_other, tenant_id=tenant_id)
    is_another = ~Q(pk=besides) if besides else Q()
    undescribed = Membership.objects.filter(is_another, tenant_id=tenant_id, scim=None, user__email=name)
    if others.alias(name=Lower("user_name")).filter(name=name).exists() or undescribed.exists():
        raise ScimUniqueness("Another user of the tenant has this userName.")
    if user.external_id and others.filter(external_id=user.external_id).exists():
        raise ScimUniqueness("Another user of the tenant has this externalId.")
