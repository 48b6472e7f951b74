"""What goes into logs, and what does not: every process, whatever it is for, writes in one format.

In production a line is one JSON object, for machines; in development it is text, for people (``LOG_FORMAT``).
"""

import json
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from tenants.audit import tracing
from tenants.audit.acting import ANONYMOUS, SYSTEM, acting

JSON, PLAIN = "json", "plain"
_SHORT = ("tenant", "principal_kind", "principal_id", "code", "request_id", "job_kind")  # what people read along


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING``: all that is logged goes to standard error, one format for all loggers.

    Raises:
        ImproperlyConfigured: there is no such format.
    """
    return {
        **_output(form),
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},  # each request has a line of its own; see config/observing.py
            "procrastinate": {"level": "WARNING"},  # what becomes of a job, jobs.running says
        },
    }


def gunicorn_configuration() -> dict[str, Any]:
    """Return gunicorn's ``logconfig_dict``: what it says of itself, in our format, at the level it was started with.

    Raises:
        ImproperlyConfigured: there is no such format.
    """
    loggers = {"gunicorn.error": {"handlers": ["console"], "propagate": False}}
    return {**_output(chosen_format(os.environ)), "root": {"handlers": ["console"]}, "loggers": loggers}


def chosen_format(environ: Mapping[str, str]) -> str:
    """Return the format that the environment asks for."""
    return environ.get("LOG_FORMAT") or (PLAIN if environ.get("TENANTRY_ENV") == "development" else JSON)


def _output(form: str) -> dict[str, Any]:
    if form not in _FORMATTERS:
        raise ImproperlyConfigured(f"LOG_FORMAT is {form!r}; it is `json` or `plain`.")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {form: {"()": _FORMATTERS[form]}},
        "filters": {"routes": {"()": "config.logs.RoutesNotPaths"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["routes"]}},
    }


_FORMATTERS = {JSON: "config.logs.JsonFormatter", PLAIN: "config.logs.PlainFormatter"}


def context() -> dict[str, str]:
    """Return what every line says of the request or the job in which it is logged; nothing secret."""
    who, trace = acting(), tracing.current()
    fields = {
        "request_id": None if who.job else who.request_id,
        "job_id": who.request_id if who.job else None,
        "job_kind": who.job,
        "tenant_id": who.tenant_id,
        "principal_kind": None if who.kind == SYSTEM else who.kind,
        "principal_id": who.id,
        "principal_name": who.name,  # of who started a command
        "session_id": who.session_id,
        "act": who.act,
        "address": who.address,
        "trace_id": trace and trace.trace_id,
        "span_id": trace and trace.span_id,
        "parent_id": trace and trace.parent_id,
    }
    return {name: str(value) for name, value in fields.items() if value}


def route_of(request: HttpRequest) -> str:
    """Return the route of a request, such as ``/api/v1/members/<uuid:pk>``: a path may hold what nobody should read."""
    return f"/{request.resolver_match.route}" if request.resolver_match else "(no route)"


class RoutesNotPaths(logging.Filter):
    """Let what Django logs about a request name its route instead of its path."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if value == request.path else value for value in record.args)
        return True


class SecretsKeptFormatter(logging.Formatter):
    """A formatter whose tracebacks say where and what kind of error, and not what the error says.

    The message of an exception may quote what somebody sent: a password, a token. The same holds for its causes. What
    is wrong with the configuration is for whoever reads the log, and quotes nothing.
    """

    def formatException(  # noqa: N802 -- logging's
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """Return the traceback: the frames, and the type of each exception in the chain."""
        if ei[1] is None:
            return ""
        lines = []
        for error in _chain(ei[1]):
            lines += ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
            lines += [f"{type(error).__module__}.{type(error).__qualname__}{_told(error)}\n"]
        return "".join(lines).rstrip()


class JsonFormatter(SecretsKeptFormatter):
    """One JSON object in one line, in ASCII. Of what was logged with the message (``extra``) it has ``fields`` alone:
    others' may be anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **context(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class PlainFormatter(SecretsKeptFormatter):
    """Text for people: the message, then the most telling of what ``JsonFormatter`` has."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's
        """Return the line without a traceback."""
        fields = context() | getattr(record, "fields", {})
        told = " ".join(f"{name}={fields[name]}" for name in _SHORT if fields.get(name, ANONYMOUS) != ANONYMOUS)
        return super().formatMessage(record) + (f" [{told}]" if told else "")


def _told(error: BaseException) -> str:
    if isinstance(error, ImproperlyConfigured):
        return f": {error}"
    state = getattr(error, "sqlstate", None)  # of Postgres: it says what was wrong without a value
    return f" (SQLSTATE {state})" if state else ""


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception after those that led to it, each once."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found[::-1]
