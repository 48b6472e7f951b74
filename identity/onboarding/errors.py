from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException


class TooManyTenants(APIException):
    """409: one person creates a bounded number of tenants for themselves."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_tenants"

    def __init__(self) -> None:
        super().__init__(f"You have created {settings.OWN_TENANTS_LIMIT} tenants, which is as many as there can be.")
