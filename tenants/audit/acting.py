"""Who is acting, and from where: known by the request, read by the audit trail, so that no service passes it along.

A thread that serves no request and does no job acts as whoever started the command (``commanded``), else as ``system``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID, uuid4

from permissions.principals import Principal

SYSTEM = "system"
ANONYMOUS = "anonymous"
COMMAND = "command"


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Who does what is being done; see ``AuditEvent``.

    Attributes:
        name: of who started a command.
        tenant_id: the tenant that the caller, or the job, is of.
        job: the kind of the job that is being done.
    """

    kind: str = SYSTEM
    id: UUID | None = None
    name: str = ""
    act: UUID | None = None
    session_id: UUID | None = None
    tenant_id: UUID | None = None
    job: str = ""
    address: str = ""
    request_id: str = ""


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)
_process = [Acting()]  # who acts on every thread where nobody in particular does; the last one counts


def acting() -> Acting:
    """Return who is acting now."""
    return _acting.get() or _process[-1]


@contextmanager
def commanded(*, command: str, by: str) -> Iterator[None]:
    """Run a management command, on as many threads as it takes: whoever started it acts, and the events of one run name
    it as their request.

    Args:
        by: see ``commands.started_by``.
    """
    _process.append(Acting(kind=COMMAND, name=by, request_id=f"{command}-{uuid4().hex[:12]}"))
    try:
        yield
    finally:
        _process.pop()


@contextmanager
def requested(*, address: str, request_id: str) -> Iterator[None]:
    """Serve one request: nobody in particular is acting until ``identify`` says who."""
    token = _acting.set(Acting(kind=ANONYMOUS, address=address, request_id=request_id))
    try:
        yield
    finally:
        _acting.reset(token)


@contextmanager
def working(*, job_id: UUID, kind: str = "", tenant_id: UUID | None = None) -> Iterator[None]:
    """Do a job that was asked for earlier: the system acts, and its events name the job as their request."""
    token = _acting.set(Acting(request_id=str(job_id), job=kind, tenant_id=tenant_id))
    try:
        yield
    finally:
        _acting.reset(token)


def identify(principal: Principal) -> None:
    """Say who makes the present request."""
    now = acting()
    _acting.set(
        Acting(
            kind=str(principal.kind),
            id=principal.id,
            name=now.name,
            act=principal.actor,
            session_id=principal.session_id,
            tenant_id=principal.tenant_id,
            job=now.job,
            address=now.address,
            request_id=now.request_id,
        )
    )
