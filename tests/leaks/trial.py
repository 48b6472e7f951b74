"""One trial: a server on the ground, traffic on the server, and chaos meanwhile."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.leaks import sabotage
from tests.leaks.audit import audit
from tests.leaks.chaos import Chaos
from tests.leaks.environment import environment
from tests.leaks.ground import Ground
from tests.leaks.pooler import pooled
from tests.leaks.report import Plan, Report
from tests.leaks.sabotage import Sabotage
from tests.leaks.server import Server, serving
from tests.leaks.traffic import Traffic

_STEP_SECONDS = 0.05
_SILENCE_SECONDS = 60
_DISTURB_EVERY = 2_500  # answers; in a short trial, five times as often as there are disturbances


def run(ground: Ground, plan: Plan, *, show: Callable[[int, int], None] | None = None) -> Report:
    """Run a trial and say what came of it; call it in the main thread, with no other thread running.

    Args:
        show: is told now and then how many answers were checked, and how many wrong rows were seen.
    """
    ground.reset()
    with ExitStack() as stack:
        server = stack.enter_context(_server(ground, plan, stack))
        chaos = Chaos(ground, server, every=min(_DISTURB_EVERY, max(1, plan.requests // 5)))
        began = time.monotonic()
        with Traffic(server.port, ground.tenants, clients=plan.clients) as traffic:
            _watch(traffic, chaos if plan.chaos else None, plan.requests, server, show)
        seconds = time.monotonic() - began
    found = audit(ground, traffic.records.writes)
    return Report(plan, len(ground.tenants), seconds, traffic.records, chaos.disturbances, found)


def _server(ground: Ground, plan: Plan, stack: ExitStack) -> AbstractContextManager[Server]:
    """Return the server of `plan`. It knows the role that serves and not the owner, as in production."""
    has_wall = plan.sabotage is not Sabotage.WALL_OFF
    url = ground.database.app_url if has_wall else ground.database.url
    if plan.pgbouncer:
        url = stack.enter_context(pooled(url, ground.folder))
    told = environment(ground.folder) | {"DATABASE_URL": url}
    if plan.sabotage is not Sabotage.NONE:
        told |= {"DJANGO_SETTINGS_MODULE": sabotage.SETTINGS, sabotage.VARIABLE: plan.sabotage.value}
    return serving(told, plan.log or ground.folder / "server.log")


def _watch(
    traffic: Traffic, chaos: Chaos | None, requests: int, server: Server, show: Callable[[int, int], None] | None
) -> None:
    """Disturb until there were enough answers and all disturbances.

    Raises:
        RuntimeError: there have been no answers for a long time.
    """
    checked, silent_since = 0, time.monotonic()
    while checked < requests or (chaos is not None and not chaos.is_over):
        time.sleep(_STEP_SECONDS)
        if traffic.records.checked > checked:
            silent_since = time.monotonic()
        if time.monotonic() > silent_since + _SILENCE_SECONDS:
            raise RuntimeError(f"The server is silent. It printed:\n{server.log.read_text(errors='replace')[-3000:]}")
        checked = traffic.records.checked
        if show is not None:
            show(checked, len(traffic.records.wrong_rows))
        if chaos is not None:
            chaos.step(checked, is_enough=checked >= requests)
