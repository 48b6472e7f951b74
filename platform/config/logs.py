"""What goes into logs, and what does not."""

import logging
import traceback
from types import TracebackType

from django.core.exceptions import ImproperlyConfigured


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
