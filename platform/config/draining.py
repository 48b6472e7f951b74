"""Gunicorn's worker with threads, which leaves connections to workers with less to do, and lets nobody in any more once
it is told to stop.
"""

import time

from gunicorn.workers.gthread import ThreadWorker

_SECONDS_FOR_OTHERS = 0.001


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker that closes its listening sockets before it waits for the requests under way.

    Gunicorn's own keeps them open until it ends. The kernel goes on taking connections meanwhile, which nobody serves:
    a proxy would wait for an answer, up to ``graceful_timeout``, and get none. A refused connection it sends elsewhere.
    """

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's
        """Begin to accept connections, pause, or, after SIGTERM, stop for good."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            if listener.sock is not None:  # not closed already: it may be told to stop more than once
                self._accept_those_who_wait(listener)
                listener.close()

    def accept(self, listener: object) -> None:
        """Take a connection in; with all threads at work, let another worker have it, should one be idle. All of them
        are woken for it, and without this the first one awake takes every connection that a proxy opens and keeps.
        """
        idle = len(self.keepalived_conns) + len(self.pending_conns)
        if self.alive and self.nr_conns - idle >= self.cfg.threads:
            time.sleep(_SECONDS_FOR_OTHERS)
        super().accept(listener)

    def _accept_those_who_wait(self, listener: object) -> None:
        """Take in whom the kernel has let in already: closing would cut them off."""
        for _ in range(self.cfg.backlog):
            known = self.nr_conns
            self.accept(listener)
            if self.nr_conns == known:
                return
