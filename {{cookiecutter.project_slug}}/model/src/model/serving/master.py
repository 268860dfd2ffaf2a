"""gunicorn's master process, corrected: it keeps a version that works, and its socket."""

import os
import signal
from math import ceil
from time import monotonic
from typing import Any

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.sock import UnixSocket

from model.errors import ModelError
from model.serving.unix import private_socket
from model.serving.worker import STOPS

TICK_SECONDS = 0.25
"""Seconds between two looks at the workers and at the store."""
ROUNDS = 4
"""In so many rounds workers are replaced: those that start take CPU time from those that answer."""


def is_starting(worker: Any) -> bool:
    """Whether a worker has not yet given a sign of life, which it does once it answers.

    The first one sets the time of its file, which was the system's clock, to a monotonic one.
    """
    return bool(worker.tmp.last_update() > monotonic())


class Master(Arbiter):  # type: ignore[misc]
    """Reloads only what can be loaded, and makes its socket again when that is gone."""

    LISTENERS: list[Any]

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._socket: os.stat_result | None = None
        self._fault = ""
        self._to_replace = 0

    def start(self) -> None:
        """Start listening."""
        if self.app.handed:
            self.app.handed.watch(0)  # from now on this does
            self.LISTENERS, self.systemd = [self.app.handed], True  # so that it removes no socket
        super().start()
        self._socket = self._look()

    def handle_hup(self) -> None:
        """Reload, unless the current version cannot be served: then go on with the one before."""
        if self.app.renew():
            self._replace_workers()

    def wait_for_signals(self, timeout: float = TICK_SECONDS) -> list[int]:
        """The signals that have come, if any come before the next tick; gunicorn takes a second."""
        signals: list[int] = super().wait_for_signals(TICK_SECONDS)
        return signals

    def manage_workers(self) -> None:
        """See at every tick that all is there that workers need, and that they serve the latest."""
        if self.app.handed and self.app.handed.is_abandoned():
            raise StopIteration  # as gunicorn does on SIGTERM
        self.app.refresh()
        if self.app.follow():
            self._replace_workers()
        if self._is_gone():
            self._listen_again()
        if len(self.WORKERS) > self.num_workers and any(map(is_starting, self.WORKERS.values())):
            return  # the old workers answer until the new ones do
        super().manage_workers()
        number = min(self._to_replace, ceil(self.num_workers / ROUNDS))
        self._to_replace -= number
        for _ in range(number):
            self.spawn_worker()

    def spawn_worker(self) -> Any:
        """Start a worker, which hears a signal to stop once it can heed it, and not before."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal; that to stop only once, since a second would end it as it cleans up."""
        worker = self.WORKERS.get(pid)
        if sig != signal.SIGTERM or not getattr(worker, "is_stopping", False):
            super().kill_worker(pid, sig)
        if worker and sig == signal.SIGTERM:
            worker.is_stopping = True

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers, and remove the socket if it is still there."""
        if self._is_gone():
            self.systemd = True  # so that gunicorn removes no socket: it would be another's
        super().stop(graceful)

    def _look(self) -> os.stat_result | None:
        """What is at the socket's path; None without such a path, or if nothing is there."""
        try:
            return os.stat(self.cfg.address[0]) if isinstance(self.cfg.address[0], str) else None
        except OSError:
            return None

    def _is_gone(self) -> bool:
        """Whether the socket was removed, or replaced."""
        found = self._look()
        if self._socket is None:
            return False
        return found is None or not os.path.samestat(found, self._socket)

    def _listen_again(self) -> None:
        """Make the socket, for new workers; the old ones answer what is under way."""
        log = structlog.get_logger()
        path = self.cfg.address[0]
        try:
            private_socket(path, self.app.is_shared)
            listener = UnixSocket(path, self.cfg, self.log)
        except (ModelError, OSError) as error:
            if str(error) != self._fault:
                log.error(f"the socket is gone, and cannot be made again: {error}")
            self._fault = str(error)
            return
        log.warning("the socket was gone, and is there again", path=path)
        self._fault = ""
        for old in self.LISTENERS:
            old.close()
        self.LISTENERS = [listener]
        self._socket = self._look()
        self._replace_workers()

    def _replace_workers(self) -> None:
        """Have new workers started, a round at a time; the old ones end when these answer.

        gunicorn's own way waits here until the old ones have ended, and sees to nothing meanwhile.
        """
        self._to_replace = self.num_workers
