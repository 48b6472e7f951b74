"""Who is acting, and from where: known by the request, read by the audit trail, so that no service passes it along.

A thread that serves no request (a command, a job) acts as ``system`` unless it says otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import UUID

from permissions.principals import Principal

SYSTEM = "system"
ANONYMOUS = "anonymous"


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Who does what is being done; see ``AuditEvent``."""

    kind: str = SYSTEM
    id: UUID | None = None
    act: UUID | None = None
    session_id: UUID | None = None
    address: str = ""
    request_id: str = ""


_acting: ContextVar[Acting] = ContextVar("acting", default=Acting())  # noqa: B039 -- frozen


def acting() -> Acting:
    """Return who is acting now."""
    return _acting.get()


@contextmanager
def requested(*, address: str, request_id: str) -> Iterator[None]:
    """Serve one request: nobody in particular is acting until ``identify`` says who."""
    token = _acting.set(Acting(kind=ANONYMOUS, address=address, request_id=request_id))
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def working(*, job_id: UUID) -> Iterator[None]:
    """Do a job that was asked for earlier: the system acts, and its events name the job as their request."""
    token = _acting.set(Acting(request_id=str(job_id)))
    try:
        yield
    finally:
        _acting.reset(token)


def identify(principal: Principal) -> None:
    """Say who makes the present request."""
    _acting.set(
        replace(
            _acting.get(),
            kind=str(principal.kind),
            id=principal.id,
            act=principal.actor,
            session_id=principal.session_id,
        )
    )
