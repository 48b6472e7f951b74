from rest_framework import status
from rest_framework.exceptions import APIException


class UnknownOwner(APIException):
    """422: the address named as owner has no account."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_owner"
    default_detail = "No account has this address: let its holder register first."
