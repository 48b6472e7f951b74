"""Which trace the present work is a part of (W3C Trace Context), for logs and for the jobs that it asks for.

A trace is known by the request, or by the job that a request asked for, so that nobody passes it along.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_NONE = ""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_INVALID_VERSION = "ff"
_KNOWN_VERSION = "00"
_SAMPLED = 0x01
_LONGEST_STATE, _MOST_MEMBERS = 512, 32  # sections 3.3.1.5 and 3.3.1.1
_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_KEY})=(?:{_VALUE})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A place in a trace.

    Attributes:
        trace_id: of the whole, 32 hexadecimal digits.
        span_id: of the present work, 16 hexadecimal digits.
        parent_id: of whatever asked for it; empty when nothing did.
        is_sampled: whoever began the trace says that it is recorded.
        state: what tracing systems keep beside it (section 3.3), as it was sent.
    """

    trace_id: str
    span_id: str
    parent_id: str = _NONE
    is_sampled: bool = False
    state: str = _NONE

    @property
    def carrier(self) -> dict[str, str]:
        """The headers by which others go on with this trace (section 3)."""
        headers = {"traceparent": f"{_KNOWN_VERSION}-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"}
        return headers | ({"tracestate": self.state} if self.state else {})


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """Return the place in a trace where the present work is; None when it is in none."""
    return _trace.get()


def begin(carrier: Mapping[str, str]) -> Trace:
    """Return the next place in the trace of `carrier`, a mapping with ``traceparent`` and ``tracestate``; in a new one
    when it has none, or one that is malformed (section 4.3).
    """
    span_id = secrets.token_hex(8)
    match = _TRACEPARENT.fullmatch(carrier.get("traceparent", ""))
    if match is None or not _is_valid(*match.groups()):
        return Trace(trace_id=secrets.token_hex(16), span_id=span_id)
    _, trace_id, parent_id, flags, _ = match.groups()
    return Trace(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        is_sampled=bool(int(flags, 16) & _SAMPLED),
        state=_state(carrier.get("tracestate", "")),
    )


@contextmanager
def traced(trace: Trace) -> Iterator[None]:
    """Do what is done meanwhile as this part of a trace."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def _is_valid(version: str, trace_id: str, parent_id: str, flags: str, rest: str | None) -> bool:
    """Tell whether a traceparent of the right form is valid (section 3.2.2); newer versions may say more."""
    if version == _INVALID_VERSION or (version == _KNOWN_VERSION and rest is not None):
        return False
    return bool(int(trace_id, 16)) and bool(int(parent_id, 16))


def _state(text: str) -> str:
    """Return a tracestate, or nothing when it is malformed: it goes on whole or not at all (section 3.3.1)."""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = [match[1] for match in matches if match]
    is_valid = len(text) <= _LONGEST_STATE and len(members) <= _MOST_MEMBERS and len(set(keys)) == len(members)
    return ",".join(members) if is_valid else _NONE
