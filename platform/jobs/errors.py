from collections.abc import Mapping
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException


class JobOver(APIException):
    """409: the job has ended: there is nothing left of it to cancel."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "job_over"
    default_detail = "This job has ended."


class JobNotCancellable(APIException):
    """409: a job of this kind is finished once it has begun: a tenant that is half deleted is good for nothing."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "job_not_cancellable"
    default_detail = "A job of this kind is finished once it has begun."


class JobNotPausable(APIException):
    """409: a job of this kind is not left half done: it can only be cancelled before it begins."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "job_not_pausable"
    default_detail = "A job of this kind is not left half done."


class NoExport(APIException):
    """404: there is no such export, or it is not there any more: export the tenant again."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "no_export"
    default_detail = "There is no such export, or not any more."


class Cancelled(Exception):
    """Somebody asked that the running job end."""


class Paused(Exception):
    """Somebody asked that the running job wait."""


class Interrupted(Exception):
    """The worker stops: the job goes on later, or at another worker's."""


class Superseded(Exception):
    """Another worker does this job now, or nobody does any more: this one was taken for dead."""


class Unsuccessful(Exception):
    """The work came to its end, and some of it is not as it should be; trying again would not help.

    Attributes:
        result: what came of it all the same.
    """

    def __init__(self, message: str, result: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.result = result
