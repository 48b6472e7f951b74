from rest_framework import status
from rest_framework.exceptions import APIException


class UnknownOwner(APIException):
    """422: the address named as owner has no account, or none whose person has proved it."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_owner"
    default_detail = "No account has proved this address: let its holder register and confirm it first."


class StaffAccount(APIException):
    """409: an account of the platform's staff is not deleted by its person: leave the staff first."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "staff_account"
    default_detail = "This account is on the platform's staff: leave the staff first."
