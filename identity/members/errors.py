from collections.abc import Sequence

from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class LastOwner(APIException):
    """409: the tenant would be left without an active owner."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_owner"
    default_detail = "A tenant keeps at least one active owner: make somebody else owner first."


class SoleOwner(APIException):
    """409: an account that is the only owner of tenants is not deleted; `tenants` says of which."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "sole_owner"

    def __init__(self, slugs: Sequence[str]) -> None:
        self.members = {"tenants": list(slugs)}  # of the problem
        super().__init__(f"You are the only owner of: {', '.join(slugs)}. Make somebody else owner first.")


class Outranked(PermissionDenied):
    """403: the caller's own role is too low for this change."""

    default_code = "outranked"
    default_detail = "Nobody changes a member who outranks them, and nobody grants a role above their own."


class NotTheOwner(PermissionDenied):
    """403: ownership is an owner's to give."""

    default_code = "not_the_owner"
    default_detail = "Only an owner gives ownership away."


class NotAMember(PermissionDenied):
    """403: there is no such tenant, or the person has no place in it; which of the two is not told."""

    default_code = "not_a_member"
    default_detail = "This account is not an active member of that tenant."


class AlreadyMember(APIException):
    """409: this person is in the tenant already."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "already_member"
    default_detail = "This person is a member of the tenant already."


class SeatLimit(APIException):
    """409: the tenant has as many active members as its plan allows: remove or suspend one first, or get more seats."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "seat_limit"
    default_detail = "This tenant has as many active members as its plan allows."


class MemberSuspended(APIException):
    """409: a suspended member is reactivated first."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "member_suspended"
    default_detail = "This member is suspended: reactivate them first."


class OwnerProtected(APIException):
    """409: a tenant's directory does not make, suspend or remove owners, of whom one always stays: only owners do."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "owner_protected"
    default_detail = "This member is an owner of the tenant: only owners change that."
