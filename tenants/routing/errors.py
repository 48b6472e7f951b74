from django.http import Http404
from rest_framework.exceptions import PermissionDenied


class UnknownHost(Http404):
    """404: no tenant and no API answers on this host."""

    code = "unknown_host"


class TenantMismatch(PermissionDenied):
    """403: a good token, on the host of another tenant."""

    default_code = "tenant_mismatch"
    default_detail = "This token was issued for another tenant than this host's."
