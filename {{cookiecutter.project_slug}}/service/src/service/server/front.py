"""Accepts connections at one address, and lets threads answer what arrives on them."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog

from service.server import answers, wsgi
from service.server.connection import IDLE_SECONDS, Connection, Socket
from service.server.pool import MAX_WAIT_SECONDS, Pool
from service.server.request import Request
from service.settings import Settings

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.25
"""How often each connection's limit of time is looked at."""

MAX_UNFINISHED = 2**26
"""Bytes of all requests together that have not arrived whole."""


class Front:
    """The server at one address.

    Args:
        application: what answers.
        listener: a socket that listens.
        settings: the limits.
        threads: how many requests are answered at a time.
        on_shed: told why a request or a connection was turned away.
    """

    def __init__(
        self,
        application: wsgi.Application,
        listener: socket.socket,
        settings: Settings,
        threads: int,
        on_shed: Callable[[str], None],
    ) -> None:
        self.max_body = settings.max_body
        self.receive_timeout = settings.receive_timeout
        self.idle_timeout = IDLE_SECONDS
        self.on_shed = on_shed
        self.draining = False
        self.connections: set[Connection] = set()
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._application = application
        self._listener = listener
        self._max_connections = settings.max_connections
        self._unfinished = 0
        self._opening: set[asyncio.Task[Any]] = set()
        self._open = 0
        self._watched = False
        self.pool = Pool(self.answer, threads)

    def start(self) -> None:
        """Accept connections, in the running event loop."""
        self.loop = asyncio.get_running_loop()
        self._listen()
        self._check()

    async def drain(self, seconds: float) -> None:
        """Accept what already waits, answer all that is under way, and close."""
        self.draining = True
        self.loop.remove_reader(self._listener)
        while self._accept():  # to the last one, with nothing between that and the end
            pass
        self._listener.close()
        deadline = monotonic() + seconds
        while self._open and monotonic() < deadline:
            await asyncio.sleep(0.02)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self.connections.discard(connection)
        self._open -= 1

    def hold(self, size: int) -> bool:
        """Count what has arrived of requests that are not whole; whether there is room for it."""
        self._unfinished += size
        return self._unfinished <= MAX_UNFINISHED

    def submit(self, request: Request) -> None:
        """Let a thread answer it, or turn it away when none is free in time."""
        self.pool.put(request)
        if not self._watched:
            self._watched = True
            self.loop.call_later(MAX_WAIT_SECONDS, self._shed)

    def _shed(self) -> None:
        for request in self.pool.overdue():
            self.on_shed("overload")
            # Behind the answer to HEAD no body is expected.
            request.connection.shed(request.closes() or request.method == b"HEAD")
        self._watched = len(self.pool) > 0
        if self._watched:
            self.loop.call_later(MAX_WAIT_SECONDS / 10, self._shed)

    def answer(self, request: Request) -> None:
        """Answer a request, mostly in a thread; one whose caller has left is dropped."""
        data, close = b"", True
        if not request.is_abandoned():
            try:
                data, close = wsgi.answer(self._application, request)
            except Exception:
                request_id = uuid4().hex
                log.exception("request failed", request_id=request_id)
                data = answers.refusal(500, "Something went wrong here.", request_id)
        request.connection.answer(data, close)

    def _listen(self) -> None:
        self.loop.add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        """Accept one of the first few, so that workers share them; many when there are many."""
        for _ in range(1 + self._open // 8):
            if not self._accept():
                break

    def _accept(self) -> bool:
        """Accept one connection; whether there was one."""
        try:
            accepted, peer = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:  # no more files may be opened
            log.error("cannot accept a connection", error=str(error))
            self.loop.remove_reader(self._listener)
            self.loop.call_later(1, self._listen_again)
            return False
        if self._open >= self._max_connections:
            self.on_shed("connections")
            accepted.setblocking(False)
            with accepted, suppress(OSError):  # the caller may have gone
                accepted.send(answers.shed(close=True))
            return True
        sock = Socket(fileno=accepted.detach())
        sock.setblocking(False)
        connecting = self.loop.connect_accepted_socket(
            lambda: Connection(self, sock, peer[0]), sock
        )
        self._open += 1
        task = self.loop.create_task(connecting)
        self._opening.add(task)
        task.add_done_callback(self._opened)
        return True

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        if task.cancelled() or task.exception():
            self._open -= 1

    def _listen_again(self) -> None:
        if not self.draining:
            self._listen()

    def _check(self) -> None:
        self.loop.call_later(CHECK_SECONDS, self._check)
        now = monotonic()
        for connection in list(self.connections):
            connection.check(now)
