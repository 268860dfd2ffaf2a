"""The HTTP client on the wire: whatever a server does with its connections and its bytes."""

import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from processes import no_collection
from raw_server import RawServer
from support import EXPECTED, GOLDEN, TOKEN, first_row, serving, wait_until
from test_predictors import ROW, Way, ask, fault_of, faults_of

from service.predictors import Predictor, PredictorError, from_url
from service.predictors.open_inference import MAX_RESPONSE_BYTES

TIMEOUT_SECONDS = 0.25
"""For the tests in which time runs out."""


@contextmanager
def raw_serving(address: Any, tls: ssl.SSLContext | None = None) -> Iterator[tuple[Way, RawServer]]:
    """A way to a model that leads through a raw server."""
    server = RawServer()
    with serving(address, tls, server) as (_, url):
        yield Way(server.model, server, url), server
        server.close_all()


@pytest.fixture(params=["http", "https", "http+unix"])
def network(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Way, RawServer]]:
    tls = None
    if request.param == "https":
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    socket_path = str(tmp_path / "model.sock")
    with raw_serving(socket_path if "unix" in request.param else ("127.0.0.1", 0), tls) as found:
        yield found


def at_once(predictor: Predictor, way: Way, calls: int) -> None:
    """Make so many calls that none is answered before all of them have arrived."""
    earlier = len(way.model.requests)
    way.model.released.clear()
    with ThreadPoolExecutor(calls) as threads:
        ids = [f"r{number}" for number in range(calls)]
        answers = threads.map(predictor.predict, [ROW] * calls, ids)
        wait_until(lambda: len(way.model.requests) == earlier + calls)
        way.model.released.set()
        assert [answer.prediction for answer in answers] == [EXPECTED] * calls


def ask_until_answered(predictor: Predictor, request_id: str) -> None:
    """Ask again after a timeout, as it may happen to a good answer on a machine that is busy."""

    def answered() -> bool:
        try:
            return predictor.predict(ROW, request_id).prediction == EXPECTED
        except PredictorError as error:
            if error.reason != "timeout":
                raise
            return False

    wait_until(answered)


def test_connections_are_kept(network: tuple[Way, RawServer]) -> None:
    way, server = network
    predictor = way.predictor()
    for _ in range(3):
        ask(predictor)
    assert server.connections == 1


def test_no_two_calls_share_a_connection(network: tuple[Way, RawServer]) -> None:
    way, server = network
    predictor = way.predictor()
    at_once(predictor, way, 5)
    assert server.connections == 5
    wait_until(lambda: len(server.open()) == 2)
    at_once(predictor, way, 2)
    assert server.connections == 5


def test_a_connection_that_was_closed_as_it_was_used_is_replaced(
    network: tuple[Way, RawServer],
) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.hang_up = 1
    assert ask(predictor)
    assert server.connections == 2


@pytest.mark.parametrize("closing", ["announced", "silent"])
def test_a_server_that_closes_after_each_response(
    network: tuple[Way, RawServer], closing: str
) -> None:
    way, server = network
    server.closing = closing
    predictor = way.predictor()
    for _ in range(3):
        assert ask(predictor)
        wait_until(lambda: not server.open())
    assert server.connections == len(way.model.requests) == 3


def test_a_server_that_hangs_up_for_good(network: tuple[Way, RawServer]) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.hang_up = 100
    for connections in (2, 3):  # the one that was kept and a new one; then only a new one
        assert fault_of(lambda: ask(predictor)).reason == "unreachable"
        assert server.connections == connections


def test_a_server_that_was_restarted(tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    with raw_serving(str(path)) as (way, _):
        predictor = way.predictor()
        at_once(predictor, way, 2)
    assert fault_of(lambda: ask(predictor)).reason == "unreachable"
    path.unlink()
    with raw_serving(str(path)) as (_, server):
        assert ask(predictor)
        assert ask(predictor)
        assert server.connections == 1


def test_a_server_that_accepts_no_connection() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        host, port = server.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        url = f"http://{host}:{port}"
        predictor = from_url(url, token=None, timeout=TIMEOUT_SECONDS, connections=1)
        assert fault_of(lambda: ask(predictor)).reason == "timeout"


def test_a_host_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_serving(("127.0.0.1", 0)) as (way, _), socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # where no server listens, nor can start to
        addresses = [silent.getsockname(), ("127.0.0.1", int(way.url.rpartition(":")[2]))]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert ask(way.predictor("http://model.example:80"))


def test_a_server_without_a_trusted_certificate(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with raw_serving(("127.0.0.1", 0), tls) as (way, _):
        assert fault_of(lambda: ask(way.predictor())).reason == "unreachable"
        assert not way.model.requests


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"[]", b"null", b"1"])
def test_a_response_that_is_no_message(network: tuple[Way, RawServer], body: bytes) -> None:
    way, server = network
    server.raw = body
    with no_collection():
        assert faults_of(way.predictor()) == {"invalid_response"}


def test_a_response_that_is_too_long(network: tuple[Way, RawServer]) -> None:
    way, server = network
    predictor = way.predictor()
    server.raw = json.dumps({**first_row(GOLDEN.response), "id": "r1"}).encode()
    assert ask(predictor)
    server.raw = server.raw.ljust(MAX_RESPONSE_BYTES + 1)
    assert fault_of(lambda: ask(predictor)).reason == "invalid_response"


@pytest.mark.parametrize("part", ["drip", "drip_head"])
def test_a_response_that_drips(network: tuple[Way, RawServer], part: str) -> None:
    way, server = network
    setattr(server, part, TIMEOUT_SECONDS / 2)
    predictor = way.predictor(timeout=TIMEOUT_SECONDS)
    assert fault_of(lambda: ask(predictor)).reason == "timeout"
    assert server.answers == 0  # it was not waited for


@pytest.mark.parametrize("split", [1, 40, 70, 200])
def test_a_response_in_two_packets(network: tuple[Way, RawServer], split: int) -> None:
    way, server = network
    server.split = split
    predictor = way.predictor()
    for _ in range(2):
        assert ask(predictor).prediction == EXPECTED
    assert server.connections == 1


@pytest.mark.parametrize(("framing", "connections"), [("chunked", 1), ("end", 2)])
def test_a_response_of_unknown_length(
    network: tuple[Way, RawServer], framing: str, connections: int
) -> None:
    way, server = network
    server.framing = framing
    predictor = way.predictor()
    for _ in range(2):
        assert ask(predictor).prediction == EXPECTED
    assert server.connections == connections
    server.raw = b" " * (MAX_RESPONSE_BYTES + 1)
    assert fault_of(lambda: ask(predictor)).reason == "invalid_response"


@pytest.mark.parametrize("closing", ["silent", "reset"])
def test_a_response_that_is_cut_off(network: tuple[Way, RawServer], closing: str) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.framing, server.closing, server.split = "cut", closing, 40
    assert fault_of(lambda: ask(predictor)).reason == "unreachable"
    assert len(way.model.requests) == 2  # what has been answered in part is not asked again


def test_a_late_response_is_not_taken_for_the_next(network: tuple[Way, RawServer]) -> None:
    way, server = network
    predictor = way.predictor(timeout=TIMEOUT_SECONDS)
    ask_until_answered(predictor, "r1")
    connections = server.connections
    way.model.released.clear()
    assert fault_of(lambda: ask(predictor)).reason == "timeout"
    way.model.released.set()
    ask_until_answered(predictor, "r2")
    assert server.connections > connections


def test_what_was_not_asked_for_is_not_taken_for_a_response(
    network: tuple[Way, RawServer],
) -> None:
    way, server = network
    predictor = way.predictor()
    server.afterthought = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    assert ask(predictor)
    server.read.set()
    wait_until(lambda: server.answers == 1)
    assert ask(predictor)
    assert server.connections == 2


@pytest.mark.parametrize("token", ["abSECRET\ncd", "abSECRET🚀"])
def test_a_token_that_cannot_be_sent_is_not_shown(
    network: tuple[Way, RawServer], token: str
) -> None:
    way, _ = network
    predictor = way.predictor(token=token)
    error = fault_of(lambda: ask(predictor))
    assert error.reason == "error"
    assert "SECRET" not in str(error)
    assert error.__suppress_context__
    assert TOKEN not in str(error)
