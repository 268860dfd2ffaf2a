"""gunicorn's ASGI worker, corrected where idle connections make others wait.

It depends on names that gunicorn does not document, so tests/test_process.py guards what it does.
"""

import asyncio
import os
from contextlib import suppress
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker


class GunicornWorker(ASGIWorker):  # type: ignore[misc]
    """Stops as soon as no request is under way.

    gunicorn's own checks once a second whether it should stop, waits for idle connections until
    they time out, and for those without any request until it is killed; and it limits the queue of
    new connections to asyncio's 100.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connections: set[Connection] = set()
        self._signalled = asyncio.Event()

    def handle_exit_signal(self) -> None:
        """Stop, once what is under way has been answered."""
        super().handle_exit_signal()
        self._signalled.set()

    def handle_quit_signal(self) -> None:
        """Stop at once."""
        super().handle_quit_signal()
        self._signalled.set()

    async def _serve(self) -> None:
        """Answer until a signal comes or the master is gone; notify the master once a second."""
        self.servers = [
            await self.loop.create_server(
                lambda: Connection(self), sock=listener.sock, backlog=self.cfg.backlog
            )
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), 1)
        self.handle_exit_signal()  # or the master is gone; every answer now closes its connection
        for server in self.servers:
            server.close()
        # The master kills who is left at the end of its timeout: be gone a little earlier.
        deadline = self.loop.time() + self.cfg.graceful_timeout - 0.5
        while self.connections and not self._quick_shutdown and self.loop.time() < deadline:
            for connection in self.connections:
                connection.close_if_idle()
            await asyncio.sleep(0.02)


class Connection(ASGIProtocol):  # type: ignore[misc]
    """A connection that its worker knows, with a limit of time for its first request too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limit the time to the first request's head, as gunicorn does for those after it."""
        self.worker.connections.add(self)
        super().connection_made(transport)
        self._arm_keepalive_timer()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        self.worker.connections.discard(self)
        super().connection_lost(error)

    def close_if_idle(self) -> None:
        """Close it unless a request is under way."""
        if self._current_request is None:
            self._close_transport()
