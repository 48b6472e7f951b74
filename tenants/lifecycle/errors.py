"""What can go wrong in a tenant's life: for callers, and of the program."""

from datetime import datetime

from rest_framework import status
from rest_framework.exceptions import APIException


class TemplateMismatch(RuntimeError):
    """A schema that was made from a template is not what the template is."""


class NoStructure(RuntimeError):
    """Nothing here can tell how a tenant's tables were made."""


class NoSpare(APIException):
    """503: every finished schema is taken, and this process cannot make one: in a moment there is another."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "no_spare"
    default_detail = "No tenant can be created at this moment. Nothing was changed; retry in a while."


class NotExportable(APIException):
    """409: the tenant has no tables that could be exported; the message says why."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "not_exportable"
    default_detail = "This tenant has no tables that could be exported."


class BrokenExport(APIException):
    """422: the file is no export of a tenant, or not as it was written: damaged, cut off or changed."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "broken_export"
    default_detail = "This file is no export of a tenant, or it was damaged or changed."


class ForeignExport(APIException):
    """422: the file has no seal of this platform's: it was changed, or another platform wrote it."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "foreign_export"
    default_detail = (
        "This file was not sealed by this platform, or was changed since. Restoring runs what is in it with the rights"
        " of the tables' owner: let the command do it with --foreign if you trust whoever wrote it."
    )


class OtherTenant(APIException):
    """409: the file is of another tenant than the one whose data it is to replace."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "other_tenant"
    default_detail = "This file was exported from another tenant: restore it as a tenant of its own."


class NotRestorable(APIException):
    """409: what is in the file does not fit what is here: the message says what."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "not_restorable"
    default_detail = "What is in this file does not fit what is here."


class NoFormerData(APIException):
    """404: the tenant's data was not replaced, or what it was before is gone."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "no_former_data"
    default_detail = "There is no former data of this tenant."


class InGrace(APIException):
    """409: the tenant can still be brought back: it was not decided to delete it, or its time is not over."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "in_grace"

    def __init__(self, delete_at: datetime | None) -> None:
        when = f"is to be deleted at {delete_at.isoformat()}" if delete_at else "is not to be deleted"
        super().__init__(f"This tenant {when}.")
