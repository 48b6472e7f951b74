"""Every refusal is a problem detail (RFC 9457).

Members: ``type`` (a link to what the code means), ``title``, ``status``, ``detail``, ``code`` (what programs decide
by; it never changes), and ``errors`` when single fields or parameters are at fault: ``{"pointer" | "parameter",
"code", "detail"}``.
"""

import functools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from psycopg.errors import QueryCanceled, ReadOnlySqlTransaction
from rest_framework import exceptions
from rest_framework.response import Response

from config import metrics
from identity.browser.errors import CsrfFailed
from permissions import throttles
from permissions.errors import InsufficientAuthentication, InsufficientScope
from permissions.limits import LimitReached
from permissions.principals import Kind
from tenants.context.errors import OutcomeUnknown as CommitOutcomeUnknown

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER_SECONDS = 1
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CODE = "_problem_code"
# Problem codes that have a name in RFC 6749 (sections 4.1.2.1 and 5.2) or RFC 8693 (section 2.2.2).
_OAUTH_ERRORS = {
    **{
        code: code
        for code in (
            "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
            "invalid_scope", "invalid_target",
        )
    },
    "unavailable": "temporarily_unavailable",
    "outcome_unknown": "temporarily_unavailable",
    "throttled": "temporarily_unavailable",
}  # fmt: skip

_Answer = TypeVar("_Answer", bound=HttpResponseBase)

log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """Return the body of a problem detail."""
    return {
        "type": f"{settings.ISSUER}/docs/problems#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into a problem response; None leaves a bug to Django, which logs it and answers 500."""
    error = _as_api_exception(exc, context["request"])
    if error is None:
        return None
    error = throttles.settle(error, context["request"], context.get("view"))
    if isinstance(error, LimitReached):
        metrics.THROTTLED.labels(error.count.name).inc()
    # Without a body, what is not valid is a parameter.
    place = "parameter" if context["request"].method in {"GET", "HEAD", "DELETE"} else "pointer"
    body = _body(error, place)
    if getattr(context.get("view"), "speaks_oauth", False):
        response = Response(_for_oauth(body), status=error.status_code, headers=_headers(error) | _NO_STORE)
    else:
        response = Response(body, status=error.status_code, headers=_headers(error), content_type=MEDIA_TYPE)
    return _coded(response, body["code"])


def code_of(response: HttpResponseBase) -> str | None:
    """Return the code of the problem that a response is; None when it is none."""
    return getattr(response, _CODE, None)


def _coded(response: _Answer, code: str) -> _Answer:
    setattr(response, _CODE, code)
    return response


def _for_oauth(body: dict[str, Any]) -> dict[str, Any]:
    """Return a problem that is an error of RFC 6749 section 5.2 too: its members, as ``application/json``.

    What OAuth has no name for (another method, another media type) is an ``invalid_request``.
    """
    error = _OAUTH_ERRORS.get(body["code"], "invalid_request")
    return {"error": error, "error_description": body["detail"].replace('"', "'"), **body}


class Conflict(exceptions.APIException):
    """409: the change contradicts what is there, most likely written by somebody else at the same time."""

    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"
    default_detail = "This contradicts existing data. Read it again and retry."


class Unavailable(exceptions.APIException):
    """503: the database does not answer for now; nothing was changed."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "The service is briefly unavailable. Nothing was changed; retry."


class OutcomeUnknown(Unavailable):
    """503: the database went away just when it was to keep the change, and it may have: look before you ask again."""

    default_code = "outcome_unknown"
    default_detail = (
        "The database went away just when it was to keep this change. Look whether it did before you retry."
    )


class MigrationsBehind(Unavailable):
    """503: the database lacks migrations of the shared schema that this version of the code needs."""

    default_code = "migrations_behind"
    default_detail = "The database is behind this version of the code: run `manage.py migrate_platform`."


class NoSigningKey(Unavailable):
    """503: no key signs tokens now."""

    default_code = "no_signing_key"
    default_detail = "There is no signing key in use: run `manage.py signing_keys rotate --now`."


class ReadOnly(exceptions.PermissionDenied):
    """403: support access that only reads was about to write, and the database refused."""

    default_code = "read_only"
    default_detail = "This support access reads; the database refused to write. Nothing was changed."


def _as_api_exception(exc: Exception, request: Any) -> exceptions.APIException | None:
    if isinstance(exc, exceptions.APIException):
        return exc
    if isinstance(exc.__cause__, ReadOnlySqlTransaction):
        # Of anybody else's transaction that means a database that became a replica: the other one is elsewhere by now.
        principal = getattr(request, "_user", None)  # `user` would authenticate again
        return ReadOnly() if getattr(principal, "kind", None) is Kind.SUPPORT else Unavailable()
    if _database_is_away(exc):
        log.warning("The database is not available: %s", type(exc.__cause__ or exc).__name__)
        return _unavailable(exc, request.method)
    return next((translate(exc) for kind, translate in _TRANSLATIONS.items() if isinstance(exc, kind)), None)


def _unavailable(exc: BaseException | None, method: str | None) -> Unavailable:
    if isinstance(exc, CommitOutcomeUnknown) and method not in {"GET", "HEAD"}:
        return OutcomeUnknown()
    return Unavailable()


def _database_is_away(exc: BaseException | None) -> bool:
    if isinstance(exc, InternalError):
        # psycopg's own, of a connection that broke in the middle of an answer; Postgres' own have a SQLSTATE.
        return getattr(exc.__cause__, "sqlstate", None) is None
    return isinstance(exc, OperationalError | InterfaceError) and not isinstance(exc.__cause__, QueryCanceled)


def _details(exc: ModelValidationError) -> Any:
    if hasattr(exc, "error_dict"):
        return {field: _error_list(errors) for field, errors in exc.error_dict.items()}
    return _error_list(exc.error_list)


_TRANSLATIONS: dict[type[Exception], Callable[[Any], exceptions.APIException]] = {
    ModelValidationError: lambda exc: exceptions.ValidationError(_details(exc)),
    Http404: lambda _: exceptions.NotFound(),
    ObjectDoesNotExist: lambda _: exceptions.NotFound(),
    PermissionDenied: lambda _: exceptions.PermissionDenied(),
    SuspiciousOperation: lambda _: exceptions.ParseError("The request is malformed."),
    IntegrityError: lambda _: Conflict(),
}


def _error_list(errors: list[ModelValidationError]) -> list[exceptions.ErrorDetail]:
    return [
        exceptions.ErrorDetail(message, code=error.code or "invalid") for error in errors for message in error.messages
    ]


def _body(error: exceptions.APIException, place: str) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = [{place: _locate(path, place), **rest} for path, rest in _field_errors(error.detail, ())]
        return problem(error.status_code, "validation_error", "Some of the input is not valid.", errors=errors)
    detail: Any = error.detail
    code = getattr(detail, "code", None) or error.default_code
    extra = {"scope": error.scope} if isinstance(error, InsufficientScope) else getattr(error, "members", {})
    return problem(error.status_code, code, str(detail), **extra)


def _field_errors(detail: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield where each single error is, and what it is."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            # What concerns the whole object is said of the object.
            yield from _field_errors(inner, path if name == "non_field_errors" else (*path, str(name)))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _field_errors(inner, (*path, str(index)) if isinstance(inner, dict | list) else path)
    else:
        yield path, {"code": getattr(detail, "code", None) or "invalid", "detail": str(detail)}


def _locate(path: tuple[str, ...], place: str) -> str:
    """Return a parameter's name, or a JSON pointer as a URI fragment (RFC 6901 section 6)."""
    if place == "parameter":
        return ".".join(path)
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    if isinstance(error, InsufficientScope):
        return {"WWW-Authenticate": _challenge("insufficient_scope", error, scope=error.scope)}
    if isinstance(error, InsufficientAuthentication):
        return {"WWW-Authenticate": _challenge(error.default_code, error, **error.challenge)}
    if error.default_code == "invalid_client":
        return {"WWW-Authenticate": 'Basic realm="tenantry"'}  # RFC 6749 section 5.2
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        # RFC 6750 section 3.1: a request without credentials gets a challenge without an error code.
        code = error.default_code
        return {"WWW-Authenticate": _challenge("" if code == "not_authenticated" else code, error)}
    if error.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return {"Retry-After": str(getattr(error, "wait", None) or _RETRY_AFTER_SECONDS)}
    return {}


def _challenge(code: str, error: exceptions.APIException, **parameters: str) -> str:
    values = {"realm": "tenantry"}
    if code in {"invalid_token", "insufficient_scope", "insufficient_user_authentication"}:
        values |= {"error": code, "error_description": str(error.detail).replace('"', "'"), **parameters}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in values.items())


def _respond(status: HTTPStatus, code: str, detail: str, **headers: str) -> JsonResponse:
    response = JsonResponse(problem(status, code, detail), status=status, content_type=MEDIA_TYPE, headers=headers)
    return _coded(response, code)


def get_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let a plain Django view answer GET and HEAD, and say 405 to the rest in a problem's form."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in {"GET", "HEAD"}:
            return view(request, *args, **kwargs)
        detail = f'Method "{request.method}" not allowed.'
        return _respond(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, Allow="GET, HEAD, OPTIONS")

    return answer


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer what Django refuses before any view is asked, such as a malformed Host header (``handler400``)."""
    return _respond(HTTPStatus.BAD_REQUEST, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer Django's own PermissionDenied outside DRF (``handler403``)."""
    return _respond(HTTPStatus.FORBIDDEN, "permission_denied", "This is not allowed.")


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Answer what Django refuses because another site may have sent it (``CSRF_FAILURE_VIEW``)."""
    return _respond(HTTPStatus.FORBIDDEN, CsrfFailed.default_code, str(CsrfFailed.default_detail))


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer a path or a host that leads nowhere (``handler404``)."""
    code = getattr(exception, "code", "not_found")
    detail = str(exception) if code != "not_found" else "There is nothing at this path."
    return _respond(HTTPStatus.NOT_FOUND, code, detail)


def server_error(request: HttpRequest) -> JsonResponse:
    """Answer what went wrong outside any view (``handler500``); what it was is in the log and nowhere else."""
    error = sys.exc_info()[1]
    if _database_is_away(error):
        told, retry = _unavailable(error, request.method), {"Retry-After": str(_RETRY_AFTER_SECONDS)}
        return _respond(HTTPStatus.SERVICE_UNAVAILABLE, told.default_code, told.default_detail, **retry)
    if isinstance(sys.exc_info()[1], IntegrityError):  # found when the transaction was to be committed
        return _respond(HTTPStatus.CONFLICT, Conflict.default_code, Conflict.default_detail)
    return _respond(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", "Something went wrong on our side.")
