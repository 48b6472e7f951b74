from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class LastOwner(APIException):
    """409: the tenant would be left without an active owner."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_owner"
    default_detail = "A tenant keeps at least one active owner: make somebody else owner first."


class Outranked(PermissionDenied):
    """403: the caller's own role is too low for this change."""

    default_code = "outranked"
    default_detail = "Nobody changes a member who outranks them, and nobody grants a role above their own."


class NotAMember(PermissionDenied):
    """403: there is no such tenant, or the person has no place in it; which of the two is not told."""

    default_code = "not_a_member"
    default_detail = "This account is not an active member of that tenant."
