"""What gunicorn's ASGI worker makes of HTTP/1.1, sent byte for byte as RFC 9110 and 9112 word it.

None of this is our code; all of it is what our caller meets, so it is held here against upgrades.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import INFER, REQUEST, TOKENS
from raw_http import Connection, Requests
from support import BODY, PATIENCE, Server, ask, eventually, serving

from model.artifacts.store import Store
from model.serving.server import KEEPALIVE_SECONDS

AUTHORIZATION = f"Authorization: Bearer {TOKENS[0]}\r\n"
LIVE = "/v2/health/live"
PORT = "http://127.0.0.1:0"
SOCKET = "http+unix://run/model.sock"

Open = Callable[[], Connection]


RAW = Requests(INFER, BODY, AUTHORIZATION)
request, chunked = RAW.whole, RAW.chunked


def request_of(number: int) -> bytes:
    """A request whose answer bears this number."""
    return request(body=json.dumps({**REQUEST, "id": str(number)}).encode())


Servers = dict[str, Server]


def start(
    stack: contextlib.ExitStack, store: Store, folders: pytest.TempPathFactory, **constants: int
) -> Servers:
    """Two servers: at a unix socket and at a port."""
    kinds = {"socket": SOCKET, "port": PORT}
    return {
        kind: stack.enter_context(serving(store, folders.mktemp(kind), url, **constants))  # type: ignore[arg-type]
        for kind, url in kinds.items()
    }


@pytest.fixture(scope="module")
def servers(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Two servers that close no connection for being idle."""
    with contextlib.ExitStack() as stack:
        yield start(stack, store, tmp_path_factory, KEEPALIVE_SECONDS=1000)


def descriptors(server: Server) -> int:
    """How many files its workers have open."""
    return sum(len(os.listdir(f"/proc/{worker}/fd")) for worker in server.workers())


@pytest.fixture(params=["socket", "port"])
def server(servers: Servers, request: pytest.FixtureRequest) -> Server:
    """A server, of each kind in turn."""
    return servers[request.param]


@pytest.fixture
def open_(server: Server) -> Iterator[Open]:
    """What opens a connection, to be closed at the end; and the server still answers then."""
    with contextlib.ExitStack() as stack:

        def make() -> Connection:
            connection = Connection(server.at)
            stack.callback(connection.close)
            return connection

        yield make
    assert ask(server.at) == 200


# One connection, many requests


def test_a_connection_is_kept(open_: Open) -> None:
    connection = open_()
    for number in range(20):
        answer = connection.ask(request_of(number))
        assert (answer.version, answer.status, answer.id) == ("1.1", 200, str(number))
        assert "connection" not in answer.headers


@pytest.mark.parametrize(
    ("version", "headers", "kept"),
    [
        ("1.1", "Connection: keep-alive\r\n", True),
        ("1.1", "Connection: close\r\n", False),
        ("1.1", "Connection: Close\r\n", False),
        ("1.1", "Connection: te, close\r\n", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive\r\n", True),
    ],
)
def test_who_closes_is_said(version: str, headers: str, kept: bool, open_: Open) -> None:
    connection = open_()
    answer = connection.ask(request(headers=headers, version=version))
    assert (answer.version, answer.status) == (version, 200)
    if kept:
        assert connection.ask(request(version=version)).status == 200
    else:
        assert answer.headers["connection"] == "close"
        assert connection.is_closed()


def test_who_asks_for_nothing_is_let_go_in_time_and_not_before(
    store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def closed_at(connection: Connection) -> float:
        """When the server closes it."""
        assert connection.is_closed()
        return time.monotonic()

    with ThreadPoolExecutor(20) as threads, contextlib.ExitStack() as stack:
        servers = start(stack, store, tmp_path_factory)

        def open_all() -> list[Connection]:
            ats = [server.at for server in servers.values()]
            return [stack.enter_context(contextlib.closing(Connection(at))) for at in ats]

        began = time.monotonic()
        idle, used = open_all(), open_all()
        for each in idle + used:
            assert each.ask(request()).status == 200
        begun = {said: open_all() for said in (b"", b"POST", request()[:60])}
        for said, connections in begun.items():
            for each in connections:
                each.send(said)
        silent = [each for connections in begun.values() for each in connections]
        closings = threads.map(closed_at, idle + silent)
        time.sleep(1)
        again = time.monotonic()
        for each in used:
            assert each.ask(request()).status == 200
        assert min(threads.map(closed_at, used)) - again > KEEPALIVE_SECONDS - 0.1
        assert min(closings) - began > KEEPALIVE_SECONDS - 0.1


@pytest.mark.parametrize("number", [2, 10, 100])
def test_pipelined_requests_are_all_answered_in_order(number: int, open_: Open) -> None:
    connection = open_()
    connection.send(b"".join(map(request_of, range(number))))
    assert [connection.answer().id for _ in range(number)] == [str(each) for each in range(number)]


def test_pipelined_requests_of_every_kind(open_: Open) -> None:
    connection = open_()
    connection.send(
        request_of(1)
        + chunked(BODY, last=b"0\r\nX-Trailer: 1\r\n\r\n")
        + request("GET", LIVE, body=None)
        + request("GET", "/nowhere", body=b"not for you")
        + request(headers="X-Fault: 1\r\n", body=b"{")
        + request_of(2)
    )
    statuses = [connection.answer().status for _ in range(5)]
    assert statuses == [200, 200, 200, 404, 400]
    assert connection.answer().id == "2"


# Bodies


@pytest.mark.parametrize(
    "sent",
    [
        chunked(BODY),
        chunked(*(bytes([byte]) for byte in BODY)),
        chunked(BODY[:7], BODY[7:], last=b"000\r\n\r\n"),
        chunked(BODY, last=b"0\r\nX-Checksum: 7\r\nX-Other: \r\n\r\n"),
        chunked(BODY).replace(b"%x\r\n" % len(BODY), b"000%X\r\n" % len(BODY)),
        chunked(BODY).replace(b"%x\r\n" % len(BODY), b'%x;a;b=c;d="e;f"\r\n' % len(BODY)),
        chunked(BODY).replace(b": chunked", b":  Chunked\t"),
    ],
    ids=["whole", "bytes", "zeros", "trailers", "capitals", "extensions", "spelling"],
)
def test_chunked_bodies(sent: bytes, open_: Open) -> None:
    connection = open_()
    assert connection.ask(sent).status == 200
    assert connection.ask(sent).status == 200


def test_a_message_may_be_split_anywhere(open_: Open) -> None:
    connection = open_()
    parts = (b"1;a=b\r\n", b"\r\n1d\r\n", b"\r\n0\r\nX-A: b\r\n\r\n")
    sent = chunked(BODY[:1], BODY[1:30], BODY[30:], last=b"0\r\nX-A: b\r\n\r\n")
    sent = sent.replace(b"\r\n1\r\n", b"\r\n1;a=b\r\n")
    for part in parts:
        begin = sent.index(part)
        for cut in range(begin - 2, begin + len(part) + 1):
            assert connection.ask(sent[:cut], sent[cut:]).status == 200, (sent[:cut], sent[cut:])
    whole = request()
    for cut in range(1, whole.index(b"\r\n\r\n") + 5, 3):
        assert connection.ask(whole[:cut], whole[cut:]).status == 200, whole[:cut]


def test_a_body_may_arrive_byte_by_byte(open_: Open) -> None:
    connection = open_()
    for sent in (request(), chunked(BODY[:9], BODY[9:])):
        connection.send(*(bytes([byte]) for byte in sent), pause=0.0005)
        assert connection.answer().status == 200


def test_who_expects_to_be_asked_for_the_body_is_asked(open_: Open) -> None:
    connection = open_()
    head, body = request(headers="Expect: 100-continue\r\n").split(b"\r\n\r\n")
    connection.send(head + b"\r\n\r\n")
    assert connection.answer().status == 100
    assert connection.ask(body).status == 200
    connection.send(head + b"\r\n\r\n" + body)  # who does not wait needs no invitation
    assert connection.answer().status == 200


def test_who_expects_to_be_asked_is_refused_before_the_body(open_: Open) -> None:
    head = request(headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def seconds() -> float:
        connection = open_()
        began = time.monotonic()
        assert connection.ask(head.replace(TOKENS[0].encode(), b"wrong")).status == 401
        took = time.monotonic() - began
        assert connection.is_closed()
        return took

    assert min(seconds() for _ in range(3)) < 0.5


# What is refused: the first answer is a refusal, and nothing behind it is taken for a request


REFUSED = RAW.refused()


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused(sent: bytes, status: int, open_: Open) -> None:
    connection = open_()
    smuggled = request("GET", LIVE, body=None)
    assert connection.ask(request()).status == 200
    answer = connection.ask(sent + smuggled)
    assert answer.status == status, answer
    assert answer.headers["connection"] == "close"
    assert b"Traceback" not in answer.body
    assert connection.is_closed()


def test_what_is_refused_behind_a_good_request_does_not_harm_that(open_: Open) -> None:
    connection = open_()
    connection.send(request_of(1) + REFUSED["two lengths"][0] + request_of(2))
    assert connection.answer().id == "1"
    assert connection.answer().status == 400
    assert connection.is_closed()


# What is answered, and how


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", LIVE, 200),
        ("HEAD", LIVE, 200),
        ("HEAD", "/nowhere", 404),
        ("OPTIONS", LIVE, 405),
        ("OPTIONS", "*", 404),
        ("BREW", LIVE, 405),
        ("TRACE", LIVE, 405),
        ("PUT", INFER, 405),
        ("CONNECT", "model:80", 404),
    ],
)
def test_every_method_is_answered(method: str, path: str, status: int, open_: Open) -> None:
    connection = open_()
    connection.send(request(method, path, body=None))
    answer = connection.answer(has_body=method != "HEAD")
    assert answer.status == status
    assert int(answer.headers["content-length"]) > 0
    if method != "CONNECT":
        assert connection.ask(request()).status == 200


def test_headers_tell_little(open_: Open) -> None:
    answer = open_().ask(request())
    ours = {"content-type", "content-length", "x-request-id"}
    assert set(answer.headers) == {*ours, "date", "server"}
    assert answer.headers["server"] == "gunicorn/asgi"  # which says no version


def test_nothing_is_upgraded(open_: Open) -> None:
    for headers in (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n",
    ):
        assert open_().ask(request(headers=headers)).status == 200
    keys = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    headers = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{keys}"
    assert open_().ask(request("GET", LIVE, headers, None)).status == 403


# Those who leave, and those who stay


def leave_at_once(connection: Connection) -> None:
    """Say nothing."""


def leave_in_the_head(connection: Connection) -> None:
    """Stop within the request line."""
    connection.send(b"POST /v2/mod")


def leave_before_the_body(connection: Connection) -> None:
    """Send the head alone."""
    connection.send(request()[: -len(BODY)])


def leave_in_the_body(connection: Connection) -> None:
    """Send half of the body."""
    connection.send(request()[: -len(BODY) // 2])


def leave_in_a_chunk(connection: Connection) -> None:
    """Send half of a chunk."""
    connection.send(chunked(BODY)[:-20])


def leave_before_the_answer(connection: Connection) -> None:
    """Ask, and not wait."""
    connection.send(request())


def leave_with_a_reset(connection: Connection) -> None:
    """Ask, and tear the connection down."""
    linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.send(request() * 3)


def leave_behind_an_answer(connection: Connection) -> None:
    """Ask three times, and read one answer."""
    connection.send(request() * 3)
    connection.answer()


@pytest.mark.parametrize(
    "leave",
    [
        leave_at_once,
        leave_in_the_head,
        leave_before_the_body,
        leave_in_the_body,
        leave_in_a_chunk,
        leave_before_the_answer,
        leave_with_a_reset,
        leave_behind_an_answer,
    ],
)
def test_who_leaves_leaves_nothing_behind(
    leave: Callable[[Connection], None], server: Server
) -> None:
    assert ask(server.at) == 200
    before = descriptors(server)
    for _ in range(50):
        connection = Connection(server.at)
        leave(connection)
        connection.close()
    assert ask(server.at) == 200  # all who queued before have been let in
    assert eventually(lambda: descriptors(server) <= before)


def test_what_nobody_waits_for_is_not_predicted(uncompiled_store: Store, tmp_path: Path) -> None:
    with serving(uncompiled_store, tmp_path) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # so that all have asked and left before it looks
        for number in range(20):
            with contextlib.closing(Connection(server.at)) as connection:
                connection.send(request(headers=f"X-Request-ID: left-{number}\r\n"))
        os.kill(worker, signal.SIGCONT)
        assert ask(server.at) == 200
    assert {line["status"] for line in server.lines("request_id", "left-")} == {499}


def test_who_sends_no_more_is_taken_to_have_left(open_: Open) -> None:
    connection = open_()
    connection.send(request())
    connection.socket.shutdown(socket.SHUT_WR)
    with contextlib.suppress(EOFError, ConnectionError):  # unless the answer was quicker
        assert connection.answer().status == 200
    assert connection.is_closed()


def test_who_does_not_read_is_not_read_and_holds_up_nobody(servers: Servers) -> None:
    at, number = servers["socket"].at, 600
    asked = request(body=json.dumps({**REQUEST, "id": "x" * 10_000}).encode()) * number
    with contextlib.closing(Connection(at)) as slow:
        sent = 0
        slow.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < len(asked):
                sent += slow.socket.send(asked[sent : sent + 65536])
        assert sent < len(asked)  # every buffer on the way is full, the server's own too
        assert ask(at) == 200
        slow.socket.settimeout(PATIENCE)
        rest = threading.Thread(target=slow.socket.sendall, args=[asked[sent:]])
        rest.start()
        assert {slow.answer().status for _ in range(number)} == {200}
        rest.join()


@pytest.mark.parametrize("kind", ["socket", "port"])
def test_a_crowd_may_queue(kind: str, servers: Servers) -> None:
    server = servers[kind]
    (worker,) = server.workers()
    with contextlib.ExitStack() as stack:
        os.kill(worker, signal.SIGSTOP)
        stack.callback(os.kill, worker, signal.SIGCONT)
        crowd = [stack.enter_context(contextlib.closing(Connection(server.at))) for _ in range(300)]
        for each in crowd:
            each.send(request())
        os.kill(worker, signal.SIGCONT)
        assert {each.answer().status for each in crowd} == {200}
