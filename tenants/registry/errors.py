from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class TenantSuspended(PermissionDenied):
    """403: the tenant exists and the caller belongs there, but it is closed for now."""

    default_code = "tenant_suspended"
    default_detail = "This tenant is suspended."


class TenantArchived(TenantSuspended):
    """403: the tenant exists and the caller belongs there, but it has been put away; the platform can bring it back."""

    default_code = "tenant_archived"
    default_detail = "This tenant is archived."


class WrongState(APIException):
    """409: a tenant in this state cannot be brought into that one."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "wrong_state"

    def __init__(self, present: str, wanted: str) -> None:
        super().__init__(f"This tenant is {present}: it cannot become {wanted}.")


class HostTaken(APIException):
    """409: the host leads to a tenant already, to this one or another."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "host_taken"
    default_detail = "This host leads to a tenant already."


class PrimaryHost(APIException):
    """409: the host that comes with a tenant's slug stays as long as the slug does."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "primary_host"
    default_detail = "This host comes with the tenant's slug: it goes when the slug changes."


class SlugTaken(APIException):
    """409: another tenant has this slug, or a host that it would get."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "slug_taken"
    default_detail = "Another tenant has this slug."
