from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class TenantSuspended(PermissionDenied):
    """403: the tenant exists and the caller belongs there, but it is closed for now."""

    default_code = "tenant_suspended"
    default_detail = "This tenant is suspended."


class SlugTaken(APIException):
    """409: another tenant has this slug, or a host that it would get."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "slug_taken"
    default_detail = "Another tenant has this slug."
