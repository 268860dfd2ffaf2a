"""gunicorn's ASGI worker, corrected where some connections make others wait.

It depends on names that gunicorn does not document, so tests/test_process.py guards what it does.
"""

import asyncio
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any

import structlog
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

from model.serving.access import user_of

MAX_CONNECTIONS = 512
"""Connections of one worker; who comes when there are so many is refused."""
TRANSFER_SECONDS = 10
"""Seconds within which a body has to come, and a response has to be taken."""
TICK_SECONDS = 0.2
"""Seconds between two looks at the master and at the connections."""
LINGER_SECONDS = 0.3
"""Seconds for which a stop lets idle connections send one more request, which may be on its way."""
STOPS = {signal.SIGTERM, signal.SIGQUIT}
"""The signals by which the master tells a worker to stop."""
REFUSAL = b'{"error": "too many connections; try again"}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(REFUSAL), REFUSAL)
)


class GunicornWorker(ASGIWorker):  # type: ignore[misc]
    """Stops as soon as no request is under way, and loses none.

    gunicorn's own checks once a second whether it should stop, drops who waits in the queue of new
    connections, waits for idle connections until they time out, and for those without any request
    until it is killed; and it limits the queue to asyncio's 100.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connections: set[Connection] = set()
        self._signalled = asyncio.Event()

    def init_signals(self) -> None:
        """Heed signals; one to stop may have come since this process was forked."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def handle_exit_signal(self) -> None:
        """Stop, once what is under way has been answered."""
        super().handle_exit_signal()
        self._signalled.set()

    def handle_quit_signal(self) -> None:
        """Stop at once."""
        super().handle_quit_signal()
        self._signalled.set()

    def run(self) -> None:
        """Answer until told to stop, and end at once when all is answered.

        The interpreter's own end would clear, and so copy, all that is shared with the master: two
        fifths of the CPU time of a swap, in which callers of the new workers would wait.
        """
        super().run()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)

    async def _serve(self) -> None:
        """Answer until a signal comes or the master is gone; notify the master now and then."""
        options: dict[str, Any] = {"backlog": self.cfg.backlog}
        if tls := self.app.tls:
            limits = {"ssl_handshake_timeout": self.cfg.keepalive, "ssl_shutdown_timeout": 1}
            options |= {"ssl": tls.latest(), **limits}
        self.servers = [
            await self.loop.create_server(lambda: Connection(self), sock=each.sock, **options)
            for each in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self._close_stuck()
            self.app.metrics.flush()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), TICK_SECONDS)
        self.handle_exit_signal()  # or the master is gone; every answer now closes its connection
        now = self.loop.time()
        linger = now + LINGER_SECONDS
        # The master kills who is left at the end of its timeout: be gone a little earlier.
        deadline = now + self.cfg.graceful_timeout - 0.5
        while self._somebody_waits() and self.loop.time() < linger:
            await asyncio.sleep(0)  # in which all who wait are let in
        for each in self.sockets:
            self.loop.remove_reader(each.sock)
        await asyncio.sleep(0.02)  # asyncio would drop those that it has accepted just now
        for server in self.servers:
            server.close()
        while self.connections and not self._quick_shutdown and self.loop.time() < deadline:
            if self.loop.time() > linger:
                for connection in self.connections:
                    connection.close_if_idle()
            self._close_stuck()
            await asyncio.sleep(0.02)
        self.app.metrics.flush()

    def _cleanup(self) -> None:
        signal.set_wakeup_fd(-1)  # or a signal that still comes finds asyncio's end of it closed
        super()._cleanup()

    def _somebody_waits(self) -> bool:
        """Whether the queue of new connections holds any."""
        queues = select.poll()
        for each in self.sockets:
            queues.register(each.sock, select.POLLIN)
        return bool(queues.poll(0))

    def _close_stuck(self) -> None:
        for connection in list(self.connections):
            connection.close_if_stuck()


class Connection(ASGIProtocol):  # type: ignore[misc]
    """A connection that its worker knows, with limits of time for all that a caller does."""

    def __init__(self, worker: GunicornWorker) -> None:
        super().__init__(worker)
        self._head_read = 0.0
        self._unsent_since: float | None = None

    def connection_made(self, transport: Any) -> None:
        """Let the caller in, or not; the first request's head has as long as gunicorn gives others.

        Others than the users that may call are not answered at all.
        """
        user = user_of(transport.get_extra_info("socket"))
        is_stranger = user is not None and user not in self.worker.app.users
        if is_stranger or len(self.worker.connections) >= MAX_CONNECTIONS:
            self._conn_lost_handled = True  # gunicorn knows nothing of it
            self.worker.app.metrics.refused("stranger" if is_stranger else "connections")
            if is_stranger:
                structlog.get_logger().warning("refused: not in MODEL_PEERS", user=user)
            else:
                transport.write(FULL)
            transport.close()
            return
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

    def close_if_stuck(self) -> None:
        """Close it if a body does not come, or a response is not taken."""
        latest = self.worker.loop.time() - TRANSFER_SECONDS
        if self._unsent_since is not None:
            if self._unsent_since < latest:
                self.transport.abort()
            return
        body = self._body_receiver
        if body and not body._complete and self._head_read < latest:
            self._send_error_response(408, "the body did not come in time")
            self._close_transport()

    def pause_writing(self) -> None:
        """Note since when the caller takes nothing."""
        self._unsent_since = self.worker.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Forget it, since the caller takes what it is sent."""
        self._unsent_since = None
        super().resume_writing()

    def _keepalive_timeout(self) -> None:
        if self._current_request is None:  # or its head came in this very turn of the loop
            super()._keepalive_timeout()

    def _close_transport(self) -> None:
        self._unsent_since = self._unsent_since or self.worker.loop.time()
        super()._close_transport()

    def _on_headers_complete(self) -> bool:
        self._head_read = self.worker.loop.time()
        return bool(super()._on_headers_complete())

    def _build_http_scope(self, *arguments: Any) -> dict[str, Any]:
        """With the time at which the head had been read, from which a deadline counts."""
        scope: dict[str, Any] = super()._build_http_scope(*arguments)
        scope["arrival"] = self._head_read
        return scope

    async def _handle_websocket(self, *_: Any) -> None:
        self._send_error_response(403, "WebSockets are not supported")
        self._close_transport()
