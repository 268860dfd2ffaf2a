"""The server in front of the application, over real sockets, with an application of the test's own.

The service as whole processes is in test_serving.py.
"""

import asyncio
import contextlib
import errno
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import settings
from raw_http import Answer, Connection, Requests
from support import wait_until

from service.server import front, pool
from service.server.front import Front

BODY = json.dumps({"id": "1", "padding": "some more"}).encode()
RAW = Requests("/echo", BODY)
GET = RAW.whole("GET")
PROBES = ("/livez", "/readyz")
LIVE = RAW.whole("GET", "/livez")


class Application:
    """Tells what it was asked; `held` keeps requests in their threads."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.held.set()
        self.environs: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] in PROBES:
            start("200 OK", [])
            return [environ["PATH_INFO"].encode()]
        self.environs.append(environ)
        self.held.wait(60)
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/large":
            body = b"x" * 20_000_000
        start("200 OK", [("Content-Type", "application/json")])
        return [body]


class Running:
    """A front that runs, and connections to it."""

    def __init__(self, stack: contextlib.ExitStack, threads: int, **changes: Any) -> None:
        self._stack = stack
        self.application = Application()
        self.shed: list[str] = []
        listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.front = Front(
            self.application, listener, settings(**changes), threads, self.shed.append
        )
        self._done = threading.Event()
        self.ended_well = False
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()])
        self._thread.start()
        stack.callback(self.stop)
        wait_until(lambda: hasattr(self.front, "loop"))

    async def _run(self) -> None:
        self.front.start()
        while not self._done.is_set():
            await asyncio.sleep(0.01)
        await self.front.drain(10)
        self.ended_well = True

    def stop(self) -> None:
        self.application.held.set()
        self._done.set()
        self._thread.join(20)

    def begin_to_stop(self) -> None:
        self._done.set()

    def open(self) -> Connection:
        connection = Connection(self.port)
        self._stack.callback(connection.close)
        return connection


Run = Callable[..., Running]


@pytest.fixture
def run() -> Iterator[Run]:
    with contextlib.ExitStack() as stack:

        def make(threads: int = 4, **changes: Any) -> Running:
            return Running(stack, threads, **changes)

        yield make


def check_problem(answer: Answer, status: int) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]


# HTTP


OTHERWISE = {"an old protocol": 505, "a new protocol": 505}
REFUSED = {
    name: (sent, OTHERWISE.get(name, status)) for name, (sent, status) in RAW.refused().items()
} | {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "an endless length": (RAW.head(f"Content-Length: {'9' * 5000}"), 400),
    "a long length": (RAW.head("Content-Length: 99999999"), 413),
    "a long chunk": (RAW.chunked(b"x" * 1001, b"x"), 413),
    "a body in crumbs": (RAW.chunked(*[b"x"] * 500), 200),
    "no address": (RAW.head(line="GET http://[ HTTP/1.1"), 200),
    "a websocket": (RAW.whole("GET", headers="Upgrade: websocket\r\nConnection: upgrade\r\n"), 403),
}


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused(sent: bytes, status: int, run: Run) -> None:
    connection = run(max_body=1000).open()
    assert connection.ask(RAW.whole()).status == 200
    answer = connection.ask(sent + GET)
    if status == 200:
        assert answer.status == 200
        return
    check_problem(answer, status)
    assert answer.headers["connection"] == "close"
    assert connection.is_closed()


@pytest.mark.parametrize(
    "sent",
    [
        RAW.whole(),
        RAW.chunked(BODY),
        RAW.chunked(*(bytes([byte]) for byte in BODY)),
        RAW.chunked(BODY, last=b"0\r\nX-Checksum: 7\r\n\r\n"),
        RAW.chunked(BODY).replace(b"%x\r\n" % len(BODY), b'%x;a;b=c;d="e"\r\n' % len(BODY)),
    ],
    ids=["length", "chunk", "bytes", "trailers", "extensions"],
)
def test_bodies_arrive_in_any_way(sent: bytes, run: Run) -> None:
    connection = run().open()
    assert connection.ask(sent).body == BODY
    assert connection.ask(*(bytes([byte]) for byte in sent)).body == BODY
    head, _, body = sent.partition(b"\r\n\r\n")
    connection.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert connection.answer().status == 100
    assert connection.ask(body).body == BODY


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    running = run()
    connection = running.open()
    bodies = [json.dumps({"id": number}).encode() for number in range(100)]
    connection.send(b"".join(RAW.whole(body=body) + LIVE for body in bodies))
    for body in bodies:
        assert connection.answer().body == body
        assert connection.answer().body == b"/livez"
    connection.send(GET + RAW.head("Content-Length: 4, 5") + GET)
    assert connection.answer().status == 200
    check_problem(connection.answer(), 400)
    assert connection.is_closed()


@pytest.mark.parametrize(
    ("version", "headers", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close\r\n", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive\r\n", True),
    ],
)
def test_who_closes_is_said(version: str, headers: str, kept: bool, run: Run) -> None:
    connection = run().open()
    answer = connection.ask(RAW.whole(headers=headers, version=version))
    assert (answer.version, answer.body) == (version, BODY)
    assert (answer.headers.get("connection") == "close") != kept
    if kept:
        assert connection.ask(RAW.whole()).status == 200
    else:
        assert connection.is_closed()


def test_head_has_no_body(run: Run) -> None:
    connection = run().open()
    connection.send(RAW.whole("HEAD", body=BODY) * 2)
    for _ in range(2):
        assert connection.answer(has_body=False).headers["content-length"] == str(len(BODY))


def test_what_callers_say_of_themselves_has_no_effect(run: Run) -> None:
    running = run()
    said = (
        "Script-Name: /x\r\nScript_Name: /x\r\nX-Forwarded-Proto: https\r\nX_Request_Id: y\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nContent_Length: 5\r\nRemote-Addr: 1.2.3.4\r\n"
        "X-A: 1\r\nX-A: 2\r\n"
    )
    assert running.open().ask(RAW.whole("GET", "/a%2Fb?c=%20", said)).status == 200
    (environ,) = running.application.environs
    seen = {name: environ[name] for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")}
    assert seen == {"SCRIPT_NAME": "", "PATH_INFO": "/a/b", "QUERY_STRING": "c=%20"}
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_A"] == "1,2"
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_X_REQUEST_ID" not in environ


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("http://a:1/b?c=d", "/b", "c=d"), ("https://a?c", "/", "c"), ("a://b//c", "//c", "")],
)
def test_the_host_in_an_address_leads_nowhere(target: str, path: str, query: str, run: Run) -> None:
    running = run()
    assert running.open().ask(RAW.whole("GET", target)).status == 200
    (environ,) = running.application.environs
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)


# Callers who take their time


def test_slow_senders_hold_no_thread_and_are_let_go(run: Run) -> None:
    running = run(threads=1, receive_timeout=1)
    begun = (b"G", RAW.whole()[:-5], RAW.chunked(BODY)[:-9], RAW.head("Transfer-Encoding: chunked"))
    slow = [(part, running.open()) for part in begun for _ in range(25)]
    for part, connection in slow:
        connection.send(part)
    assert running.open().ask(RAW.whole()).status == 200
    for _, connection in slow:
        check_problem(connection.answer(), 408)
        assert connection.is_closed()


def test_what_has_arrived_of_unfinished_requests_is_bounded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MAX_UNFINISHED", 10_000)
    running = run(max_body=8000)
    begun = RAW.whole(body=b"x" * 8000)
    first, second = running.open(), running.open()
    first.send(begun[:-1])
    wait_until(lambda: running.front._unfinished == len(begun) - 1)
    second.send(begun[:-1])
    check_problem(second.answer(), 503)
    assert second.is_closed()
    assert running.shed == ["memory"]
    assert first.ask(begun[-1:]).status == 200
    second.close()
    wait_until(lambda: running.front._unfinished == 0)


def test_who_leaves_while_it_is_told_of_its_end_harms_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(receive_timeout=0.5)

    def gone() -> None:
        raise OSError(errno.ENOTCONN, "as by shutdown(2) after a reset")

    for _ in range(2):
        slow = running.open()
        slow.send(b"G")
        wait_until(lambda: any(each._began for each in running.front.connections))
        (connection,) = (each for each in running.front.connections if each._began)
        monkeypatch.setattr(connection.transport, "write_eof", gone, raising=True)
        check_problem(slow.answer(), 408)
        slow.close()
        wait_until(lambda: not running.front.connections)


def test_a_byte_now_and_then_does_not_help(run: Run) -> None:
    running = run(receive_timeout=1)
    connection = running.open()
    answered = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not answered.wait(0.05):
                connection.socket.send(b"x")

    connection.send(b"GET /")
    with ThreadPoolExecutor(1) as threads:
        threads.submit(drip)
        check_problem(connection.answer(), 408)
        answered.set()


def test_idle_connections_are_closed_without_a_word(run: Run) -> None:
    running = run()
    running.front.idle_timeout = 0.5
    silent, used = running.open(), running.open()
    assert used.ask(GET).status == 200
    assert silent.is_closed()
    assert used.is_closed()


def test_a_request_that_arrives_just_before_the_end_of_its_connection_is_answered(run: Run) -> None:
    running = run()
    caller = running.open()
    assert caller.ask(LIVE).status == 200

    def ask_and_check() -> None:  # on the event loop, which so reads nothing in between
        caller.send(LIVE)
        (connection,) = running.front.connections
        connection.check(float("inf"))

    running.front.loop.call_soon_threadsafe(ask_and_check)
    assert caller.answer().status == 200


def test_who_does_not_read_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 60)  # so large an answer may take its time
    running = run(threads=1, receive_timeout=1)
    slow = running.open()
    slow.send(RAW.whole("GET", "/large"))
    wait_until(lambda: running.application.environs)
    assert running.open().ask(GET).status == 200
    wait_until(lambda: len(running.front.connections) <= 1)
    slow.close()


def test_a_large_answer_arrives_whole(run: Run) -> None:
    connection = run().open()
    connection.send(RAW.whole("GET", "/large") + GET)
    assert len(connection.answer().body) == 20_000_000
    assert connection.answer().status == 200


def test_connections_are_bounded(run: Run) -> None:
    running = run(max_connections=3)
    kept = [running.open() for _ in range(3)]
    assert {each.ask(GET).status for each in kept} == {200}
    check_problem(running.open().answer(), 503)
    assert running.shed == ["connections"]
    kept[0].close()
    wait_until(lambda: len(running.front.connections) < 3)
    assert running.open().ask(GET).status == 200


def test_who_has_left_before_it_was_turned_away_harms_nobody(run: Run) -> None:
    running, stalled, go_on = run(max_connections=1), threading.Event(), threading.Event()
    assert running.open().ask(GET).status == 200

    def stall() -> None:
        running.front.loop.remove_reader(running.front._listener)  # it is met by the stop
        stalled.set()
        go_on.wait()

    running.front.loop.call_soon_threadsafe(stall)
    stalled.wait()
    left = running.open()
    left.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left.close()  # with a reset
    running.begin_to_stop()
    go_on.set()
    running.stop()
    assert running.ended_well


# More than can be answered


def test_a_request_that_waits_too_long_is_turned_away(run: Run) -> None:
    running = run(threads=2)
    running.application.held.clear()
    under_way = [running.open() for _ in range(2)]
    for connection in under_way:
        connection.send(RAW.whole())
    wait_until(lambda: len(running.application.environs) == 2)
    for _ in range(3):
        connection = running.open()
        answer = connection.ask(RAW.whole())
        check_problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
        for path in PROBES:  # whatever the threads do
            assert connection.ask(RAW.whole("GET", path)).body == path.encode()
    assert len(running.application.environs) == 2
    assert running.shed == ["overload"] * 3
    running.application.held.set()
    assert [connection.answer().status for connection in under_way] == [200, 200]
    assert connection.ask(RAW.whole()).body == BODY


@pytest.mark.parametrize(
    "sent",
    [RAW.whole("HEAD"), RAW.whole(headers="Connection: close\r\n"), RAW.whole(version="1.0")],
    ids=["head", "close", "old"],
)
def test_who_is_turned_away_is_told_of_the_end(sent: bytes, run: Run) -> None:
    running = run(threads=1)
    running.application.held.clear()
    running.open().send(RAW.whole())
    wait_until(lambda: running.application.environs)
    connection = running.open()
    connection.send(sent)
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert connection.is_closed()


@pytest.fixture
def full(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A front whose queue is full, and stays so while the application is held."""
    monkeypatch.setattr(pool, "WARY_SECONDS", 1000)
    running = run(threads=1)
    running.application.held.clear()
    running.open().send(RAW.whole())
    wait_until(lambda: running.application.environs)
    check_problem(running.open().ask(RAW.whole()), 503)
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 1000)
    waiting = running.open()
    waiting.send(RAW.whole())
    wait_until(lambda: len(running.front.pool) == 1)
    yield running
    running.application.held.set()
    assert waiting.answer().body == BODY


def test_in_an_overload_requests_are_turned_away_at_once(full: Running) -> None:
    connection = full.open()
    for _ in range(5):
        check_problem(connection.ask(RAW.whole()), 503)
    check_problem(connection.ask(REFUSED["two lengths"][0]), 400)


@pytest.mark.parametrize(
    "line",
    [
        "Content-Length:  {}",
        "Content-Length:\t{}",
        "Content-Length: {} ",
        "Content-Length: 000000000{}",
    ],
)
def test_in_an_overload_no_body_is_taken_for_a_request(line: str, full: Running) -> None:
    hidden = RAW.whole("GET", "/hidden")
    connection = full.open()
    connection.send(RAW.head(line.format(len(hidden))))
    wait_until(lambda: any(each._began for each in full.front.connections))
    connection.send(hidden)
    wait_until(lambda: len(full.front.pool) == 2)
    full.application.held.set()
    assert connection.answer().body == hidden
    assert connection.ask(GET).status == 200
    assert {each["PATH_INFO"] for each in full.application.environs} == {"/echo"}


def test_while_a_thread_is_free_nothing_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, held = threading.Event(), threading.Event()

    def handle(request: Any) -> None:
        begun.set()
        held.wait()

    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", -1)
    requests: list[Any] = [SimpleNamespace(arrival=0.0) for _ in range(3)]
    free = pool.Pool(handle, 2)
    free.put(requests[0])
    begun.wait()
    free._waiting.append(requests[1])  # no thread has been told of it yet
    assert free.overdue() == []
    begun.clear()
    free._tokens.put(None)
    begun.wait()
    free.put(requests[2])
    assert free.overdue() == [requests[2]]
    held.set()


def test_what_nobody_waits_for_is_not_begun(run: Run) -> None:
    running = run(threads=1)
    running.application.held.clear()
    first, left = running.open(), running.open()
    first.send(RAW.whole())
    wait_until(lambda: running.application.environs)
    assert not running.application.environs[0]["service.abandoned"]()
    left.send(RAW.whole())
    left.close()
    first.close()
    wait_until(running.application.environs[0]["service.abandoned"])
    running.application.held.set()
    assert running.open().ask(GET).status == 200
    assert len(running.application.environs) == 2


def test_what_comes_behind_a_request_is_read_in_its_order(run: Run) -> None:
    running = run()
    opened = running.open()
    assert opened.ask(GET).status == 200
    (connection,) = running.front.connections
    whole = RAW.whole()
    # As when a thread has answered, and the loop has not yet been told of what is behind.
    connection._behind = whole[:-5]
    running.front.loop.call_soon_threadsafe(connection.data_received, whole[-5:])
    assert opened.answer().body == BODY


# The end


def test_a_stop_answers_what_is_there_and_closes_what_is_idle(run: Run) -> None:
    running = run(threads=1)
    running.application.held.clear()
    under_way, idle = running.open(), running.open()
    under_way.send(RAW.whole())
    wait_until(lambda: running.application.environs)
    running.begin_to_stop()
    assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))
    running.application.held.set()
    answer = under_way.answer()
    assert (answer.body, answer.headers["connection"]) == (BODY, "close")
    assert under_way.is_closed()


def test_an_application_that_fails_is_a_problem(run: Run) -> None:
    running = run()
    running.front._application = lambda environ, start: 1 / 0  # type: ignore[assignment]
    check_problem(running.open().ask(GET), 500)
