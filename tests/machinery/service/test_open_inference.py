"""The HTTP client on the wire: whatever a server does with its connections and its bytes."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
import trustme
from conftest import settings
from processes import no_collection
from raw_server import RawServer
from structlog.testing import capture_logs
from support import (
    EXPECTED,
    GOLDEN,
    PATIENCE_SECONDS,
    TOKEN,
    first_row,
    serving,
    wait_until,
)
from test_predictors import Way, ask, fault_of, faults_of

from service import files
from service.predictors import (
    Access,
    Predictor,
    PredictorError,
    connecting,
    from_url,
    open_inference,
)
from service.predictors.access import access_of
from service.predictors.incoming import MAX_RESPONSE_BYTES
from service.predictors.open_inference import RETRY_RESERVE, RETRY_SHARE

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
        answers = threads.map(ask, [predictor] * calls, ids)
        wait_until(lambda: len(way.model.requests) == earlier + calls)
        way.model.released.set()
        assert [answer.prediction for answer in answers] == [EXPECTED] * calls


def too_slow(predictor: Predictor) -> bool:
    """Whether the deadline passes without an answer, and is kept."""
    start = monotonic()
    error = fault_of(lambda: ask(predictor, seconds=TIMEOUT_SECONDS))
    return error.reason == "timeout" and monotonic() - start < PATIENCE_SECONDS / 3


def ask_until_answered(predictor: Predictor, request_id: str) -> None:
    """Ask again after a timeout, as it may happen to a good answer on a machine that is busy."""

    def answered() -> bool:
        try:
            return ask(predictor, request_id, TIMEOUT_SECONDS).prediction == EXPECTED
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
    for connections in (2, 4):  # the one that was kept and a new one; then two new ones
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


def test_a_server_that_is_there_again_by_the_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "model.sock")
    with ExitStack() as stack:
        monkeypatch.setattr(
            open_inference, "sleep", lambda _: stack.enter_context(raw_serving(path))
        )
        predictor = from_url(f"http+unix://{path}", access=Access(lambda: [TOKEN]), connections=1)
        assert ask(predictor)


def test_few_calls_are_sent_twice(
    network: tuple[Way, RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_inference, "sleep", lambda _: None)
    way, server = network
    server.hang_up = 1000
    predictor = way.predictor()
    for _ in range(40):
        assert fault_of(lambda: ask(predictor)).reason == "unreachable"
    assert server.connections == 40 + RETRY_RESERVE + 40 * RETRY_SHARE - 1


def test_a_server_that_accepts_no_connection() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        host, port = server.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        url = f"http://{host}:{port}"
        predictor = from_url(url, access=Access(), connections=1)
        assert too_slow(predictor)


def test_a_socket_whose_queue_is_full(tmp_path: Path) -> None:
    path = str(tmp_path / "model.sock")
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(path)
        predictor = from_url(f"http+unix://{path}", access=Access(), connections=1)
        start = monotonic()
        fault = fault_of(lambda: ask(predictor, seconds=PATIENCE_SECONDS))
        assert fault.reason == "unreachable"
        assert monotonic() - start < PATIENCE_SECONDS / 2


def test_a_server_that_never_shakes_hands() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        predictor = from_url(url, access=Access(), connections=1)
        assert too_slow(predictor)


def test_a_look_up_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is not waited for beyond the deadline; later ones are not waited for at all."""
    answered, asked = Event(), []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        assert answered.wait(PATIENCE_SECONDS)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(connecting, "FRESH_SECONDS", 0)
    with raw_serving(("127.0.0.1", 0)) as (way, server):
        port = int(way.url.rpartition(":")[2])
        server.closing = "announced"  # so that each call connects anew
        predictor = way.predictor("http://model.example:80", plaintext=True)
        for _ in range(3):
            assert too_slow(predictor)
        assert asked == ["model.example"]  # one at a time
        answered.set()
        ask_until_answered(predictor, "r1")
        answered.clear()
        for _ in range(3):
            assert ask(predictor)
        wait_until(lambda: len(asked) >= 2)
        answered.set()


def test_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    predictor = from_url("https://model.example", access=Access(), connections=1)
    for _ in range(2):
        fault = fault_of(lambda: ask(predictor))
        assert fault.reason == "unreachable"
        assert "no address of model.example" in str(fault)


def test_a_host_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_serving(("127.0.0.1", 0)) as (way, _), socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # where no server listens, nor can start to
        addresses = [silent.getsockname(), ("127.0.0.1", int(way.url.rpartition(":")[2]))]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert ask(way.predictor("http://model.example:80", plaintext=True))


def test_a_server_without_a_trusted_certificate(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with raw_serving(("127.0.0.1", 0), tls) as (way, _):
        assert fault_of(lambda: ask(way.predictor())).reason == "unreachable"
        assert not way.model.requests


def test_both_sides_show_certificates_which_change_while_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECK_SECONDS", 0)
    theirs, ours, stranger = trustme.CA(), trustme.CA(), trustme.CA()
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))

    def show(authority: trustme.CA, trusted: trustme.CA) -> None:
        issued = authority.issue_cert("service")
        trusted.cert_pem.write_to_path(str(ca))
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.verify_mode = ssl.CERT_REQUIRED
    ours.configure_trust(tls)
    theirs.issue_cert("127.0.0.1").configure_cert(tls)
    show(stranger, trusted=theirs)
    with raw_serving(("127.0.0.1", 0), tls) as (way, server):
        server.closing = "announced"  # so that each call connects anew
        found = settings(
            model_url=way.url,
            model_tokens=TOKEN,
            model_ca=ca,
            model_client_cert=cert,
            model_client_key=key,
        )
        predictor = from_url(way.url, access=access_of(found), connections=1)
        for authority, trusted, right in (
            (stranger, theirs, False),
            (ours, theirs, True),
            (ours, stranger, False),
            (ours, theirs, True),
        ):
            show(authority, trusted)
            if right:
                assert ask(predictor)
            else:
                assert fault_of(lambda: ask(predictor)).reason == "unreachable"
        cert.write_text("half of it")  # what was there before stays in use
        assert ask(predictor)
    assert len(way.model.requests) == 3


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
    predictor = way.predictor()
    assert too_slow(predictor)
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
    predictor = way.predictor()
    ask_until_answered(predictor, "r1")
    connections = server.connections
    way.model.released.clear()
    assert too_slow(predictor)
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


def test_a_server_with_too_much_to_do(network: tuple[Way, RawServer]) -> None:
    way, server = network
    server.status = 503
    assert faults_of(way.predictor()) == {"overloaded"}
    assert len(way.model.requests) == 1  # not asked again


def test_tokens_change_without_a_failed_call(
    network: tuple[Way, RawServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECK_SECONDS", 0)
    way, server = network
    file, old, new = tmp_path / "tokens", TOKEN, TOKEN[::-1]
    file.write_text(old)
    tokens = access_of(settings(model_tokens_file=file)).tokens
    predictor = from_url(way.url, access=Access(tokens), connections=2)
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: file.write_text(f"{new}\n{old}\n"),
        lambda: server.tokens.add(new),
        lambda: server.tokens.remove(old),
        lambda: file.write_text("too short"),  # what was there before stays in use
        lambda: file.unlink(),
        lambda: file.write_text(new),
    ]
    with capture_logs() as logs:
        for step in steps:
            step()
            for _ in range(2):
                assert ask(predictor)
    assert tokens() == (new,)
    assert {old, new}.isdisjoint(str(logs).split("'"))
    assert {each["event"] for each in logs} == {"read again", "not read again"}


@pytest.mark.parametrize("token", ["abSECRET\ncd", "abSECRET🚀"])
def test_a_token_that_cannot_be_sent_is_not_shown(
    network: tuple[Way, RawServer], token: str
) -> None:
    way, _ = network
    predictor = way.predictor(tokens=[token])
    error = fault_of(lambda: ask(predictor))
    assert error.reason == "error"
    assert "SECRET" not in str(error)
    assert error.__suppress_context__
    assert TOKEN not in str(error)
