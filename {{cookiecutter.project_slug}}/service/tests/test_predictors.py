"""The port: one suite over every way of reaching a model."""

import json
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import trustme
from support import (
    ENGINES,
    EXPECTED,
    GOLDEN,
    OTHER,
    TOKEN,
    VERSION,
    FakeModel,
    FakeServer,
    install_library,
    only_row,
    serving,
)

from contract import FEATURES, MODEL_NAME, TARGET, Features, golden, signature
from service.predictors import Description, Predictor, PredictorError, from_url

ROW = Features.model_validate(GOLDEN.features[0])
TIMEOUT = 0.25
"""Seconds; for the tests in which time runs out."""
SLOW = 3
"""Seconds that an answer then takes at least: a call that ended before has not waited for it."""


@dataclass
class Way:
    """One way of reaching a model: the model, the server in between if there is one, the URL."""

    model: FakeModel
    server: FakeServer | None
    url: str

    def predictor(
        self, url: str | None = None, token: str = TOKEN, timeout: float = 10
    ) -> Predictor:
        predictor = from_url(url or self.url, token=token, timeout=timeout, connections=2)
        predictor.open()
        return predictor


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    install_library(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    ENGINES["artifacts"] = FakeModel()
    yield Way(ENGINES["artifacts"], None, "library:artifacts")
    ENGINES.clear()


@pytest.fixture
def http() -> Iterator[Way]:
    with serving(("127.0.0.1", 0)) as (server, url):
        yield Way(server.model, server, url)


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with serving(("127.0.0.1", 0), tls) as (server, url):
        yield Way(server.model, server, url)


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Way]:
    with serving(str(tmp_path / "model.sock")) as (server, url):
        yield Way(server.model, server, url)


@pytest.fixture(params=["http", "https", "unix", "library"])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["http", "https", "unix"])
def network(request: pytest.FixtureRequest) -> tuple[Way, FakeServer]:
    found: Way = request.getfixturevalue(request.param)
    assert found.server
    return found, found.server


def refused(call: Callable[[], object]) -> PredictorError:
    """The error of a call."""
    with pytest.raises(PredictorError) as caught:
        call()
    caught.value.__traceback__ = caught.value.__context__ = None  # they keep sockets alive
    return caught.value


def ask(predictor: Predictor) -> object:
    return predictor.predict(ROW, "r1")


def at_once(predictor: Predictor, model: FakeModel, calls: int) -> None:
    """Make so many calls that none is answered before all of them are there."""
    all_there, infer = Barrier(calls), model.infer

    def wait_and_infer(request: dict[str, Any]) -> Any:
        all_there.wait(5)
        return infer(request)

    with ThreadPoolExecutor(calls) as threads, pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "infer", wait_and_infer)
        ids = [f"r{number}" for number in range(calls)]
        assert len(list(threads.map(predictor.predict, [ROW] * calls, ids))) == calls


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_answers(way: Way) -> None:
    answer = way.predictor().predict(ROW, "r1")
    assert (answer.prediction, answer.version) == (EXPECTED, VERSION)
    (request,) = way.model.requests
    assert request["id"] == "r1"


def test_a_server_that_nobody_vouches_for(https: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert refused(lambda: ask(https.predictor())).reason == "unreachable"
    assert not https.model.requests


def test_sends_the_golden_request(way: Way) -> None:
    predictor = way.predictor()
    for row in GOLDEN.features:
        predictor.predict(Features.model_validate(row), "r1")
    sent = [request["inputs"] for request in way.model.requests]
    for position, tensor in enumerate(GOLDEN.request["inputs"]):
        one, two = (inputs[position] for inputs in sent)
        assert one["data"] + two["data"] == tensor["data"]
        assert one["shape"] == two["shape"] == [1]
        for key in ("name", "datatype"):
            assert one[key] == two[key] == tensor[key]


def test_older_contracts_are_read_or_refused(way: Way) -> None:
    assert golden()
    for version in golden():
        way.model.changes = only_row(version.response)
        with suppress(PredictorError):
            assert way.predictor().predict(ROW, "r1").prediction == EXPECTED


def test_describes(way: Way) -> None:
    assert way.predictor().describe() == Description(VERSION, signature(), OTHER)


def test_a_server_that_we_did_not_write_is_compared_by_its_tensors(way: Way) -> None:
    way.model.changes = {"parameters": None}
    assert way.predictor().describe() == Description(VERSION, signature(), None)
    answer = way.predictor().predict(ROW, "r1")
    assert answer.prediction == EXPECTED
    other = [{"name": column.name, "datatype": "FP16"} for column in FEATURES]
    for key, value in (("inputs", other), ("inputs", []), ("outputs", []), ("outputs", "x")):
        way.model.changes = {"parameters": {}, key: value}
        assert refused(way.predictor().describe).reason == "signature"


def test_nobody_there(way: Way) -> None:
    predictor = way.predictor(way.url.replace("artifacts", "elsewhere").replace(".sock", ".other"))
    scheme = way.url.partition(":")[0]
    if scheme in ("http", "https"):
        with serving(("127.0.0.1", 0)) as (_, url):
            pass
        predictor = way.predictor(url.replace("http", scheme))
    for call in (lambda: ask(predictor), predictor.describe):
        assert refused(call).reason == "unreachable"


def test_too_slow(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = way.predictor(timeout=TIMEOUT)
    way.model.delay = SLOW
    for call in (lambda: ask(predictor), predictor.describe):
        start = time.monotonic()
        assert refused(call).reason == "timeout"
        assert time.monotonic() - start < SLOW
    way.model.delay = 0
    monkeypatch.setattr(predictor, "_timeout", 10)  # as long as a good answer may take
    assert ask(predictor)


def test_a_failure_over_there(way: Way) -> None:
    way.model.fault = RuntimeError("out of order")
    predictor = way.predictor()
    for call in (lambda: ask(predictor), predictor.describe):
        assert refused(call).reason == "error"


def test_another_contract(way: Way) -> None:
    way.model.changes = {"parameters": {"signature": "0123456789abcdef"}}
    predictor = way.predictor()
    for call in (lambda: ask(predictor), predictor.describe):
        error = refused(call)
        assert error.reason == "signature"
        assert signature() in str(error)


@pytest.mark.parametrize(
    "output",
    [
        {"data": [None]},
        {"data": []},
        {"data": [math.nan]},
        {"data": [[]]},
        {"data": ["\x00"]},
        {"shape": [2], "data": [EXPECTED.model_dump()[TARGET.name]] * 2},
        {"datatype": "FP16"},
        {"name": "somebody_else"},
        {"shape": None},
    ],
)
def test_nonsense_values(way: Way, output: dict[str, Any]) -> None:
    way.model.output = output
    predictor = way.predictor()
    assert refused(lambda: ask(predictor)).reason == "nonsense"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "r2"},
        {"outputs": None},
        {"outputs": []},
        {"parameters": "x"},
        {"model_version": 7},
        {"model_version": "a b"},
        {"model_version": "x" * 1000},
    ],
)
def test_nonsense_around_them(way: Way, changes: dict[str, Any]) -> None:
    way.model.changes = changes
    predictor = way.predictor()
    assert refused(lambda: ask(predictor)).reason == "nonsense"


@pytest.mark.parametrize("fallback", [7, {}, {"x": 1}, {TARGET.name: []}])
def test_a_nonsense_fallback(way: Way, fallback: object) -> None:
    way.model.changes = {"parameters": {"signature": signature(), "fallback": fallback}}
    assert refused(way.predictor().describe).reason == "nonsense"


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[" * 100_000, b"\xff", b"[]", b"null", b"1"])
def test_an_answer_that_is_no_message(network: tuple[Way, FakeServer], answer: bytes) -> None:
    way, server = network
    server.raw = answer
    predictor = way.predictor()
    for call in (lambda: ask(predictor), predictor.describe):
        assert refused(call).reason == "nonsense"


def test_a_library_that_answers_something_else(library: Way) -> None:
    library.model.infer = lambda request: "text"  # type: ignore[method-assign]
    predictor = library.predictor()
    assert refused(lambda: ask(predictor)).reason == "nonsense"


def test_a_huge_answer(network: tuple[Way, FakeServer]) -> None:
    way, server = network
    answer = {**only_row(GOLDEN.response), "id": "r1"}
    predictor = way.predictor()
    server.raw = json.dumps(answer).encode()
    assert ask(predictor)
    server.raw = server.raw.ljust(2**20 + 1)
    assert refused(lambda: ask(predictor)).reason == "nonsense"


@pytest.mark.parametrize("part", ["drip", "drip_head"])
def test_an_answer_that_drips(network: tuple[Way, FakeServer], part: str) -> None:
    way, server = network
    setattr(server, part, TIMEOUT / 5)
    predictor = way.predictor(timeout=TIMEOUT)
    start = time.monotonic()
    assert refused(lambda: ask(predictor)).reason == "timeout"
    assert time.monotonic() - start < SLOW


@pytest.mark.parametrize("split", [1, 40, 70, 200])
def test_an_answer_in_two_packets(network: tuple[Way, FakeServer], split: int) -> None:
    way, server = network
    server.split = split
    predictor = way.predictor()
    for _ in range(2):
        assert predictor.predict(ROW, "r1").prediction == EXPECTED
    assert server.connections == 1


@pytest.mark.parametrize(("framing", "connections"), [("chunked", 1), ("end", 2)])
def test_an_answer_of_untold_length(
    network: tuple[Way, FakeServer], framing: str, connections: int
) -> None:
    way, server = network
    server.framing = framing
    predictor = way.predictor()
    for _ in range(2):
        assert predictor.predict(ROW, "r1").prediction == EXPECTED
    assert server.connections == connections
    server.raw = b" " * (2**20 + 1)
    assert refused(lambda: ask(predictor)).reason == "nonsense"


@pytest.mark.parametrize("closing", ["silent", "reset"])
def test_an_answer_that_is_cut_off(network: tuple[Way, FakeServer], closing: str) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.framing, server.closing, server.split = "cut", closing, 40
    assert refused(lambda: ask(predictor)).reason == "unreachable"
    assert len(way.model.requests) == 2  # what has been answered in part is not asked again


def test_the_wrong_token(network: tuple[Way, FakeServer]) -> None:
    way, _ = network
    predictor = way.predictor(token="another")
    for call in (lambda: ask(predictor), predictor.describe):
        error = refused(call)
        assert error.reason == "unauthorized"
        assert "MODEL_TOKENS" in str(error)


@pytest.mark.parametrize("token", ["abSECRET\ncd", "abSECRET🚀"])
def test_a_token_that_cannot_be_sent_is_not_told(
    network: tuple[Way, FakeServer], token: str
) -> None:
    way, _ = network
    predictor = way.predictor(token=token)
    for call in (lambda: ask(predictor), predictor.describe):
        error = refused(call)
        assert error.reason == "error"
        assert "SECRET" not in str(error)
        assert error.__suppress_context__


def test_carries_the_request_id(network: tuple[Way, FakeServer]) -> None:
    way, server = network
    ask(way.predictor())
    assert server.headers["X-Request-ID"] == "r1"


def test_connections_are_kept(network: tuple[Way, FakeServer]) -> None:
    way, server = network
    predictor = way.predictor()
    for _ in range(3):
        ask(predictor)
    assert server.connections == 1


def test_a_connection_that_was_closed_as_it_was_used_is_replaced(
    network: tuple[Way, FakeServer],
) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.hang_up = 1
    assert ask(predictor)
    assert server.connections == 2


@pytest.mark.parametrize("closing", ["announced", "silent"])
def test_a_server_that_closes_after_each_answer(
    network: tuple[Way, FakeServer], closing: str
) -> None:
    way, server = network
    server.closing = closing
    predictor = way.predictor()
    for _ in range(3):
        assert ask(predictor)
        wait_until(lambda: not server.open)
    assert server.connections == len(way.model.requests) == 3


def test_a_server_that_hangs_up_for_good(network: tuple[Way, FakeServer]) -> None:
    way, server = network
    predictor = way.predictor()
    ask(predictor)
    server.hang_up = 100
    for connections in (2, 3):  # the one that was kept and a new one; then only a new one
        assert refused(lambda: ask(predictor)).reason == "unreachable"
        assert server.connections == connections


def test_a_server_that_accepts_no_connection() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        host, port = server.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        predictor = from_url(f"http://{host}:{port}", token=None, timeout=TIMEOUT, connections=1)
        start = time.monotonic()
        assert refused(lambda: ask(predictor)).reason == "timeout"
        assert time.monotonic() - start < SLOW


def test_a_host_with_several_addresses(http: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        addresses = [gone.getsockname(), ("127.0.0.1", int(http.url.rpartition(":")[2]))]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert ask(http.predictor("http://model.example:80"))


@pytest.mark.parametrize("kind", ["port", "socket"])
def test_a_server_that_was_restarted(kind: str, tmp_path: Path) -> None:
    address: Any = str(tmp_path / "model.sock") if kind == "socket" else ("127.0.0.1", 0)
    with serving(address) as (server, url):
        predictor = from_url(url, token=TOKEN, timeout=10, connections=2)
        at_once(predictor, server.model, 2)
    assert refused(lambda: ask(predictor)).reason == "unreachable"
    if kind == "socket":
        Path(address).unlink()
    else:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with serving(address) as (server, _):
        assert ask(predictor)
        assert ask(predictor)
        assert server.connections == 1


def test_no_two_calls_share_a_connection(network: tuple[Way, FakeServer]) -> None:
    way, server = network
    predictor = way.predictor()
    at_once(predictor, server.model, 5)
    assert server.connections == 5
    wait_until(lambda: len(server.open) == 2)
    at_once(predictor, server.model, 2)
    assert server.connections == 5


def test_a_late_answer_is_not_taken_for_the_next(
    network: tuple[Way, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    way, server = network
    predictor = way.predictor()
    assert ask(predictor)
    way.model.delay = TIMEOUT * 4
    with monkeypatch.context() as hurry:
        hurry.setattr(predictor, "_timeout", TIMEOUT)
        assert refused(lambda: ask(predictor)).reason == "timeout"
    way.model.delay = 0
    assert predictor.predict(ROW, "r2").prediction == EXPECTED
    assert server.connections == 2


def test_what_nobody_asked_for_is_not_taken_for_an_answer(
    network: tuple[Way, FakeServer],
) -> None:
    way, server = network
    predictor = way.predictor()
    server.afterthought = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    assert ask(predictor)
    server.read.set()
    wait_until(lambda: server.answers == 1)
    assert ask(predictor)
    assert server.connections == 2


def test_another_model_on_a_server(http: Way) -> None:
    predictor = http.predictor(f"{http.url}/v2/models/{MODEL_NAME}")
    assert ask(predictor)
    predictor = http.predictor(f"{http.url}/v2/models/somebody")
    assert refused(lambda: ask(predictor)).reason == "error"


def test_an_artifact_that_comes_later_is_opened_by_the_readiness_check(library: Way) -> None:
    predictor = library.predictor("library:later")
    assert refused(lambda: ask(predictor)).reason == "unreachable"
    ENGINES["later"] = FakeModel()
    assert refused(lambda: ask(predictor)).reason == "unreachable"
    assert predictor.describe().version == VERSION
    assert ask(predictor)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "must begin"),
        ("run/model.sock", "must begin"),
        ("ftp://host", "must begin"),
        ("http+unix://", "socket"),
        ("http://", "http://host:port"),
        ("http:model", "http://host:port"),
        ("http://host:port", "ort"),
        ("https://user:password@host", "http://host:port"),
        ("library:", "folder"),
        ("library:artifacts", "predictor.engine"),
    ],
)
def test_a_wrong_url(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        from_url(url, token=None, timeout=1, connections=1)
