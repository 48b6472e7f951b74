from rest_framework import status
from rest_framework.exceptions import APIException


class ApplicationLimit(APIException):
    """409: the tenant has as many applications as it may (APPLICATION_LIMIT): delete one first."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "application_limit"
    default_detail = "This tenant has as many applications as it may."


class PublicApplication(APIException):
    """409: a public application runs where it can keep no secret, and has none."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "public_application"
    default_detail = "A public application has no secrets."
