from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class UnknownOwner(APIException):
    """422: the account of the address named as owner is closed: nobody could sign in as that owner."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_owner"
    default_detail = "The account of this address is closed: open it again, or name another owner."


class StaffAccount(APIException):
    """409: an account of the platform's staff is not deleted by its person: leave the staff first."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "staff_account"
    default_detail = "This account is on the platform's staff: leave the staff first."


class StaffMember(PermissionDenied):
    """403: this member is on the platform's staff: only an admin signs them out or has their password reset."""

    default_code = "staff_member"
    default_detail = "This member is on the platform's staff: only an admin may do this to them."


class UnknownAccount(APIException):
    """422: the address named has no open account, or none whose person has proved it."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_account"
    default_detail = "No open account has proved this address: let its holder register and confirm it first."


class AlreadyStaff(APIException):
    """409: this person is on the staff already, active or disabled."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "already_staff"
    default_detail = "This person is on the staff already: change their role, or enable them."


class LastAdmin(APIException):
    """409: the platform would be left without an active admin."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_admin"
    default_detail = "The platform keeps at least one active admin: make somebody else admin first."


class SupportRefused(PermissionDenied):
    """403: the tenant's owners let no platform staff in."""

    default_code = "support_refused"
    default_detail = "The owners of this tenant let no platform staff in."


class SupportOpen(APIException):
    """409: whoever asks is in this tenant already, or has asked to be let in."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "support_open"
    default_detail = "You are in this tenant, or have asked to be let in: end that one first."


class SupportNotDecided(APIException):
    """409: no owner of the tenant has decided about this support access yet."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "support_not_decided"
    default_detail = "No owner of the tenant has decided about this yet."


class SupportOver(APIException):
    """409: this support access was decided about, or its token was collected, or it is over."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "support_over"
    default_detail = "There is nothing to be had here (any more): see its status."
