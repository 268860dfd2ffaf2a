"""The server in front of the service: slow, wrong and too many callers harm nobody else."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPMessage, parse_headers
from threading import Event, Thread
from typing import Any

import pytest
from conftest import Service, settings
from support import NEW, PATH, PATIENCE_SECONDS, wait_until

from service.server.front import Front

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

BODY = json.dumps(NEW).encode()
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Caller:
    """A connection to the server."""

    def __init__(self, connection: socket.socket) -> None:
        self.send = connection.sendall
        self._connection, self._received = connection, connection.makefile("rb")

    def close(self) -> None:
        self._received.close()
        self._connection.close()

    def answer(self) -> tuple[int, HTTPMessage, Any]:
        """The status, the headers and the JSON of the next answer."""
        status = int(self._received.readline().split()[1])
        headers = parse_headers(self._received)
        return status, headers, json.loads(self._received.read(int(headers["Content-Length"])))

    def check_problem(self, status: int) -> None:
        told, headers, problem = self.answer()
        assert (told, problem["status"]) == (status, status)
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["X-Request-ID"] == problem["request_id"]
        assert headers["Retry-After"] == ("1" if status == 503 else None)

    def is_closed(self) -> bool:
        """Whether the server closes the connection without a further word."""
        return self._received.read(1) == b""


class Server:
    """The service behind its server, on a port of its own."""

    def __init__(self, service: Service, threads: int, stack: ExitStack, **changes: Any) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        listener.setblocking(False)
        self.address = listener.getsockname()
        self.shed: list[str] = []
        self._stack = stack
        self._stopped = Event()
        limits = settings(**changes)
        self.front = Front(service.app, listener, limits, threads, self.shed.append)
        self._thread = Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    async def _run(self) -> None:
        self.front.start()
        while not self._stopped.is_set():
            await asyncio.sleep(0.01)
        await self.front.drain(PATIENCE_SECONDS)

    def begin_to_stop(self) -> None:
        self._stopped.set()

    def stop(self) -> None:
        self.begin_to_stop()
        self._thread.join()

    def send(self, data: bytes) -> Caller:
        """A new caller, who sent this."""
        caller = Caller(socket.create_connection(self.address, PATIENCE_SECONDS))
        self._stack.callback(caller.close)
        caller.send(data)
        return caller


@pytest.fixture
def serve(service: Service) -> Iterator[Callable[..., Server]]:
    """A function that starts the server."""
    with ExitStack() as stack:

        def start(threads: int = 2, **changes: Any) -> Server:
            server = Server(service, threads, stack, **changes)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def held(service: Service) -> Iterator[Event]:
    """Requests wait for their prediction until this is set."""
    released = Event()
    service.predictor.while_predicting = lambda: released.wait(PATIENCE_SECONDS)
    yield released
    released.set()


def test_requests_arrive_whole_in_parts_or_one_after_the_other(
    service: Service, serve: Callable[..., Server]
) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    caller = serve().send(WHOLE + chunked)
    for byte in WHOLE:
        caller.send(bytes([byte]))
    ids = [caller.answer()[2]["id"] for _ in range(3)]
    assert sorted(ids) == [row["id"] for row in service.rows(PATH[1:])]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnine\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Content-Length: 9999\r\n\r\n", 413),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", 414),
        (HEAD + b"X: " + b"x" * 9000 + b"\r\n", 431),
        (b"GET / HTTP/3.0\r\n", 505),
    ],
)
def test_what_is_malformed_is_told_and_reaches_nothing(
    service: Service, serve: Callable[..., Server], sent: bytes, status: int
) -> None:
    caller = serve(max_body=1000).send(sent)
    caller.check_problem(status)
    assert caller.is_closed()
    assert service.stored() == 0


def test_slow_senders_hold_up_nobody(serve: Callable[..., Server]) -> None:
    server = serve(threads=1, receive_timeout=1)
    slow = [server.send(part) for part in (b"G", HEAD, WHOLE[:-1]) for _ in range(20)]
    assert server.send(WHOLE).answer()[0] == 201
    for caller in slow:
        caller.check_problem(408)


def test_too_many_connections_are_turned_away(serve: Callable[..., Server]) -> None:
    server = serve(max_connections=2)
    for _ in range(2):
        assert server.send(WHOLE).answer()[0] == 201
    server.send(b"").check_problem(503)
    assert server.shed == ["connections"]


def test_what_waits_too_long_is_turned_away_and_probes_wait_for_nobody(
    service: Service, serve: Callable[..., Server], held: Event
) -> None:
    server = serve(threads=1)
    under_way = server.send(WHOLE)
    wait_until(lambda: service.predictor.asked)
    server.send(WHOLE).check_problem(503)
    assert server.shed == ["overload"]
    service.app.extensions["readiness"].check_now()
    for probe in ("livez", "readyz"):
        assert server.send(f"GET /{probe} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).answer()[0] == 200
    assert service.stored() == 0
    held.set()
    assert under_way.answer()[0] == 201
    assert service.stored() == 2


def test_nothing_is_stored_for_who_has_left(
    service: Service, serve: Callable[..., Server], held: Event
) -> None:
    server = serve(threads=1)
    caller = server.send(WHOLE)
    wait_until(lambda: service.predictor.asked)
    caller.close()
    wait_until(lambda: not server.front.connections)
    held.set()
    assert server.send(WHOLE).answer()[0] == 201
    assert service.stored() == 2


def test_a_stop_answers_what_is_under_way(
    service: Service, serve: Callable[..., Server], held: Event
) -> None:
    server = serve()
    under_way, idle = server.send(WHOLE), server.send(b"")
    wait_until(lambda: service.predictor.asked)
    server.begin_to_stop()
    assert idle.is_closed()
    held.set()
    status, headers, _ = under_way.answer()
    assert (status, headers["Connection"]) == (201, "close")
    with pytest.raises(ConnectionRefusedError):
        server.send(b"")
