"""Fakes and data for the tests, in whatever names and types this project has."""

import copy
import json
import socket
import socketserver
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sqlalchemy import event

from contract import (
    FEATURES,
    MODEL_NAME,
    TARGET,
    Features,
    Inputs,
    Prediction,
    examples,
    golden,
    signature,
)
from contract.explanation import Contribution, Explanation
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import Answer, PredictorError, SelfTest
from service.predictors.port import Topic

GOLDEN = golden()[-1]
SENT = [column for column in FEATURES if column.name in Inputs.model_fields]
"""The features that callers send."""

NEW, SPARSE = ({column.name: row[column.name] for column in SENT} for row in GOLDEN.features)
"""What callers send: everything, and null wherever a value may be missing."""

EXAMPLES = [{name: row[name] for name in NEW if name in row} for row in examples()]
"""Rows of the history as callers send them; what it does not have yet is left out."""

PLURAL = "{{ cookiecutter.__plural }}"
PATH = f"/{PLURAL}"
ENTITY = "{{ cookiecutter.entity }}"

EXPECTED, OTHER = (Prediction.model_validate(each) for each in GOLDEN.predictions)
"""What the fakes predict, and what they recommend for when they cannot."""

OUTCOME = {TARGET.name: {"float": 3, "bool": True, "category": "b"}[TARGET.kind]}
TESTED = Features.model_validate(GOLDEN.features[0])
"""What the fakes' version was tested with; EXPECTED is what it must predict."""

TOKEN = "an-example-of-a-token-of-32-characters"
VERSION = "3f2a9c"
METRICS = b"inference_rows_total 1.0\n"
VERSIONS = b'{"current": null, "versions": [], "log": []}'
EXPLANATION = Explanation(
    version=VERSION,
    of=None,
    typical=1.5,
    prediction=1.5 + len(FEATURES),
    exact=True,
    contributions=[
        Contribution(feature=name, value=value, typical=None, contribution=1)
        for name, value in TESTED
    ],
)
FAKE_CHILD = Path(__file__).with_name("fake_child.py")
PATIENCE_SECONDS = 30
"""How long to wait for what is sure to come."""


def first_row(response: dict[str, Any]) -> dict[str, Any]:
    """A golden response cut down to its first row."""
    response = copy.deepcopy(response)
    for tensor in response["outputs"]:
        tensor["data"] = tensor["data"][: len(tensor["data"]) // tensor["shape"][0]]
        tensor["shape"][0] = 1
    return response


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def listening(target: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Call the function at each such event of SQLAlchemy."""
    event.listen(target, name, function)
    try:
        yield
    finally:
        event.remove(target, name, function)


def context_of(request_id: str = "r1", seconds: float = 10) -> RequestContext:
    """A request that has just come, and has so many seconds."""
    return RequestContext(request_id, time.monotonic() + seconds, Trace.of(""))


class FakePredictor:
    """A predictor that gives its `answer`, or raises its `error`."""

    def __init__(self) -> None:
        self.answer = Answer(EXPECTED, VERSION, OTHER)
        self.error: Exception | None = None
        self.while_predicting: Callable[[], object] = lambda: None
        self.asked: list[tuple[Features, RequestContext]] = []
        self.told: dict[str, bytes] = {
            "metrics": METRICS,
            "explain": EXPLANATION.model_dump_json().encode(),
        }
        self.opened = False

    def open(self) -> None:
        self.opened = True

    def predict(self, features: Features, context: RequestContext) -> Answer:
        self.asked.append((features, context))
        self.while_predicting()
        self.check(context.deadline)
        return self.answer

    def check(self, deadline: float) -> None:
        if self.error:
            raise self.error

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        self.check(deadline)
        return self.told.get(topic)

    def self_test(self, deadline: float) -> SelfTest:
        self.check(deadline)
        return SelfTest(VERSION, [TESTED], [EXPECTED])


GONE = PredictorError("unreachable", "nobody there")


class FakeModel:
    """A model at the other end, which speaks the Open Inference Protocol.

    Attributes:
        changes: what to put into the responses in place of what is right.
        output: what to put into the response's first tensor.
        released: cleared while responses are to be held back.
        fault: what to raise.
        self_test: what its version was tested with.
        explanation: of whatever is to be explained.
    """

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.output: dict[str, Any] = {}
        self.released = Event()
        self.released.set()
        self.fault: Exception | None = None
        self.requests: list[dict[str, Any]] = []
        self.explanation = EXPLANATION.model_dump_json().encode()
        self.self_test: dict[str, list[Any]] = {
            "rows": [TESTED.model_dump(mode="json")],
            "predictions": [EXPECTED.model_dump()],
        }

    def infer(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        response = {
            "model_name": MODEL_NAME,
            "model_version": VERSION,
            "id": request["id"],
            "parameters": {"signature": signature(), "fallback": OTHER.model_dump_json()},
            **first_row(GOLDEN.response),
        }
        response["outputs"][0].update(self.output)
        return self._finish(response)

    def explain(self, request: dict[str, Any]) -> bytes:
        self.requests.append(request)
        self._finish({})
        return self.explanation

    def versions(self) -> bytes:
        self._finish({})
        return VERSIONS

    def metadata(self) -> Any:
        tensors = [
            {"name": column.name, "datatype": column.datatype, "shape": [-1]}
            for column in (*FEATURES, TARGET)
        ]
        return self._finish(
            {
                "name": MODEL_NAME,
                "versions": [VERSION],
                "platform": "a fake",
                "inputs": tensors[:-1],
                "outputs": tensors[-1:],
                "parameters": {"signature": signature(), "self_test": json.dumps(self.self_test)},
            }
        )

    def _finish(self, message: dict[str, Any]) -> Any:
        assert self.released.wait(PATIENCE_SECONDS)
        if self.fault:
            raise self.fault
        return {**message, **self.changes}


class FakeServer:
    """A model server over HTTP, on a port or on a socket.

    Attributes:
        model: what answers.
        tokens: each of which it accepts.
        headers: of the last request.
        more: what it answers beside the protocol.
        children: the processes that have handed it connections.
    """

    def __init__(self) -> None:
        self.children: list[int] = []
        self.model = FakeModel()
        self.more = {"/versions", f"/v2/models/{MODEL_NAME}/explain"}
        self.tokens = {TOKEN}
        self.headers: dict[str, str] = {}

    def answer(self, handler: BaseHTTPRequestHandler, ask: Callable[[], Any]) -> None:
        """Answer one request with what the model says when it is asked."""
        self.headers = dict(handler.headers)
        try:
            status, answer = 200, ask()
        except RuntimeError as fault:
            status, answer = 500, {"error": str(fault)}
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            status, answer = 401, {"error": "a token is needed"}
        elif handler.path == "/metrics":
            answer = METRICS
        elif handler.path.removesuffix("/infer") not in (f"/v2/models/{MODEL_NAME}", *self.more):
            status, answer = 404, {"error": "no such path"}
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send(handler, status, body)

    def send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        """Send the response."""
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


class _TcpServer(ThreadingHTTPServer):
    daemon_threads = True
    children: list[int]

    def handle_error(self, *_: Any) -> None:
        pass  # the client hung up, as it should


class _UnixServer(_TcpServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)


class _HandedServer(_UnixServer):
    """Gets its connections from `fake_child.py`."""

    def get_request(self) -> tuple[socket.socket, Any]:
        relay, address = self.socket.accept()
        with relay:
            pid, descriptors, *_ = socket.recv_fds(relay, 20, 1)
        if not pid:
            raise OSError("the child was killed meanwhile")
        self.children.append(int(pid))
        return socket.socket(fileno=descriptors[0]), address


@contextmanager
def serving(
    address: Any = ("127.0.0.1", 0),
    tls: ssl.SSLContext | None = None,
    server: FakeServer | None = None,
    *,
    is_child: bool = False,
) -> Iterator[tuple[FakeServer, str]]:
    """A fake server at an address or on a path, and the MODEL_URL to reach it.

    Args:
        is_child: whether it stands behind a child of the service, which passes on to the path what
            it is handed.
    """
    fake = server or FakeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = not isinstance(address, str)

        def do_GET(self) -> None:
            model = fake.model
            if self.path == "/v2/health/live":
                return fake.send(self, 200, b"{}")
            fake.answer(self, model.versions if self.path == "/versions" else model.metadata)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            model = fake.model
            call = model.explain if self.path.endswith("/explain") else model.infer
            fake.answer(self, lambda: call(json.loads(body)))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    kind = _UnixServer if isinstance(address, str) else _TcpServer
    listener = (_HandedServer if is_child else kind)(address, Handler)
    listener.children = fake.children
    if tls:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True)
    thread = Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        if is_child:
            fake.tokens = {""}
            yield fake, f"subprocess:{sys.executable} -SE {FAKE_CHILD} {address}"
        elif isinstance(address, str):
            yield fake, f"http+unix://{address}"
        else:
            yield fake, f"{'https' if tls else 'http'}://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


MODELS: dict[str, FakeModel] = {}
"""The models that `open_model` finds, by folder."""


def open_model(folder: str) -> FakeModel:
    """The entry point of the library that the tests install."""
    if folder not in MODELS:
        raise FileNotFoundError(folder)
    return MODELS[folder]


def install_library(folder: Path) -> None:
    """Make a package in `folder` that brings `open_model`; `folder` must be on `sys.path`.

    It brings a scheme of MODEL_URL as well, `spare:`.
    """
    package = folder / "fake_library-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-library\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[predictor.engine]\nlibrary = support:open_model\n"
        "[service.predictors]\nspare = service.predictors.library:Library\n"
    )
