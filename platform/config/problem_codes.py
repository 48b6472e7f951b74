"""Every code that a problem can have, found where the errors are defined, so that none is forgotten."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from types import ModuleType

from rest_framework import exceptions

import identity
import jobs
import operators
import permissions
import tenants
from config import parsers, problems
from tenants.routing.errors import UnknownHost


@dataclass(frozen=True)
class ProblemCode:
    """One code: the status it comes with, and what it means."""

    code: str
    status: HTTPStatus
    meaning: str


# Those of Django's and DRF's own errors that clients meet.
_GENERAL = (
    ProblemCode(
        "validation_error",
        HTTPStatus.BAD_REQUEST,
        "Some of the input is not valid: the member errors says where and why.",
    ),
    ProblemCode("parse_error", HTTPStatus.BAD_REQUEST, "The body cannot be read: malformed JSON, wrong encoding."),
    ProblemCode("too_deep", HTTPStatus.BAD_REQUEST, "The body's JSON is nested too deeply."),
    ProblemCode(
        "bad_request", HTTPStatus.BAD_REQUEST, "The request is malformed before its body, such as its Host header."
    ),
    ProblemCode("not_authenticated", HTTPStatus.UNAUTHORIZED, "There are no credentials: sign in and send the token."),
    ProblemCode("permission_denied", HTTPStatus.FORBIDDEN, "This is not allowed, whoever asks."),
    ProblemCode("not_found", HTTPStatus.NOT_FOUND, "There is no such thing, or not in this tenant."),
    ProblemCode(
        "method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED, "The path answers other methods: see the Allow header."
    ),
    ProblemCode(
        "not_acceptable", HTTPStatus.NOT_ACCEPTABLE, "Answers are JSON; the Accept header asks for something else."
    ),
    ProblemCode("unsupported_media_type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Bodies are application/json."),
    ProblemCode(
        "throttled",
        HTTPStatus.TOO_MANY_REQUESTS,
        "There were too many requests of this kind, or too many wrong passwords: the Retry-After header says when the "
        "next one is answered.",
    ),
    ProblemCode("server_error", HTTPStatus.INTERNAL_SERVER_ERROR, "A bug on our side; it was logged."),
)


def codes() -> list[ProblemCode]:
    """Return every code, by status and name."""
    host = ProblemCode(UnknownHost.code, HTTPStatus.NOT_FOUND, _meaning(UnknownHost))
    return sorted([*_GENERAL, host, *_declared()], key=lambda entry: (entry.status, entry.code))


def _declared() -> Iterator[ProblemCode]:
    for module in _error_modules():
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, exceptions.APIException)
                and value.__module__ == module.__name__
                and "default_code" in vars(value)  # one that has it from another is a case of that one
            ):
                yield ProblemCode(str(value.default_code), HTTPStatus(value.status_code), _meaning(value))


def _error_modules() -> Iterator[ModuleType]:
    yield from (parsers, problems)
    for package in (permissions, tenants, identity, jobs, operators):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith(".errors"):
                yield importlib.import_module(info.name)


def _meaning(error: type[Exception]) -> str:
    """Return the first paragraph of a docstring, without the status it begins with."""
    first = " ".join((error.__doc__ or "").strip().split("\n\n")[0].split())
    sentence = first.partition(": ")[2] or first
    return (sentence[:1].upper() + sentence[1:]).replace("`", "")
