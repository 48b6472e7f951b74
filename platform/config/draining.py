"""Gunicorn's worker with threads, which lets nobody in any more once it is told to stop."""

from gunicorn.workers.gthread import ThreadWorker


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

    def _accept_those_who_wait(self, listener: object) -> None:
        """Take in whom the kernel has let in already: closing would cut them off."""
        for _ in range(self.cfg.backlog):
            known = self.nr_conns
            self.accept(listener)
            if self.nr_conns == known:
                return
