from rest_framework import status
from rest_framework.exceptions import APIException


class InvalidLink(APIException):
    """400: the token of the link is no good: wrong, used, too old, or for something else."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_link"
    default_detail = "This link is not valid, or not any more. Ask for a new one."


class EmailTaken(APIException):
    """409: since the link was sent, somebody has opened an account with the address."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "email_taken"
    default_detail = "Another account has this address now."
