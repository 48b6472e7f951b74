"""Refusals of SCIM; ``api_errors`` gives them the form of RFC 7644 section 3.12."""

from rest_framework import status
from rest_framework.exceptions import APIException


class ScimRefusal(APIException):
    """400: a SCIM request cannot be done as it is; the SCIM error says in `scimType` what is wrong with it.

    Attributes:
        scim_type: a keyword of RFC 7644, table 9; empty where it has none.
    """

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "scim_refused"

    def __init__(self, detail: str, *, scim_type: str = "", status_code: int | None = None) -> None:
        self.scim_type = scim_type
        if status_code is not None:
            self.status_code = status_code
        super().__init__(detail)


class ScimUniqueness(APIException):
    """409: another user or group of the tenant has this name, address or external id."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "scim_uniqueness"
    scim_type = "uniqueness"


class ForeignAddress(APIException):
    """400: a directory provisions addresses at domains that its tenant has proved; all others are invited."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "foreign_address"
    default_detail = "The address is at no domain that this tenant has proved: prove the domain, or invite the person."
    scim_type = "invalidValue"


class VersionMismatch(APIException):
    """412: the resource is another one than If-Match says: read it again."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "version_mismatch"
    default_detail = "The resource has changed since it was read."


class TooManyScimTokens(APIException):
    """409: a tenant has at most two live SCIM tokens."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_scim_tokens"
    default_detail = "This tenant has two live SCIM tokens already: revoke the one that is no longer used."


class OwnerByGroup(APIException):
    """400: no group makes owners."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "owner_by_group"
    default_detail = "No group makes owners: an owner makes another one."
