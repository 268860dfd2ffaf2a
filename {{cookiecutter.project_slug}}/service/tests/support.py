"""Fakes and data for the tests, in whatever names and types this project has."""

import copy
import json
import os
import socket
import socketserver
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from contract import FEATURES, MODEL_NAME, TARGET, Features, Prediction, golden, signature
from service.predictors import Answer, Description, PredictorError
from service.schemas import New{{ cookiecutter.__entity_class }} as New

GOLDEN = golden()[-1]
SENT = [column for column in FEATURES if column.name in New.model_fields]
"""The features that callers send; the service itself derives the others."""

NEW, SPARSE = ({column.name: row[column.name] for column in SENT} for row in GOLDEN.features)
"""What callers send: everything, and null wherever a value may be missing."""

PATH = "/{{ cookiecutter.__plural }}"
ENTITY = "{{ cookiecutter.entity }}"

EXPECTED, OTHER = (Prediction.model_validate(each) for each in GOLDEN.predictions)
"""What the fakes predict, and what they recommend for when they cannot."""

OUTCOME = {TARGET.name: {"FP64": 3, "BOOL": True, "BYTES": "b"}[TARGET.datatype]}
TOKEN = "an-example-of-a-token"
VERSION = "3f2a9c"


def only_row(response: dict[str, Any]) -> dict[str, Any]:
    """A golden response cut down to its first row."""
    response = copy.deepcopy(response)
    for tensor in response["outputs"]:
        tensor["data"] = tensor["data"][: len(tensor["data"]) // tensor["shape"][0]]
        tensor["shape"][0] = 1
    return response


class FakePredictor:
    """A predictor that does as it is told."""

    def __init__(self) -> None:
        self.answer = Answer(EXPECTED, VERSION)
        self.description = Description(VERSION, signature(), OTHER)
        self.error: PredictorError | None = None
        self.asked: list[tuple[Features, str]] = []
        self.opened = False

    def open(self) -> None:
        self.opened = True

    def predict(self, features: Features, request_id: str) -> Answer:
        self.asked.append((features, request_id))
        if self.error:
            raise self.error
        return self.answer

    def describe(self) -> Description:
        if self.error:
            raise self.error
        return self.description


class FakeModel:
    """A model at the other end, which speaks the Open Inference Protocol.

    Attributes:
        changes: what to put into the responses in place of what is right.
        output: what to put into the response's first tensor.
        delay: how long to think, in seconds.
        fault: what to raise.
    """

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.output: dict[str, Any] = {}
        self.delay = 0.0
        self.fault: Exception | None = None
        self.requests: list[dict[str, Any]] = []

    def infer(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        response = {
            "model_name": MODEL_NAME,
            "model_version": VERSION,
            "id": request["id"],
            "parameters": {"signature": signature()},
            **only_row(GOLDEN.response),
        }
        response["outputs"][0].update(self.output)
        return self._finish(response)

    def metadata(self) -> Any:
        return self._finish(
            {
                "name": MODEL_NAME,
                "versions": [VERSION],
                "platform": "a fake",
                "inputs": [
                    {"name": column.name, "datatype": column.datatype, "shape": [-1]}
                    for column in FEATURES
                ],
                "outputs": [{"name": TARGET.name, "datatype": TARGET.datatype, "shape": [-1]}],
                "parameters": {
                    "signature": signature(),
                    "version": VERSION,
                    "fallback": OTHER.model_dump(),
                },
            }
        )

    def _finish(self, message: dict[str, Any]) -> Any:
        time.sleep(self.delay)
        if self.fault:
            raise self.fault
        return {**message, **self.changes}


class FakeServer:
    """A model server over HTTP, on a port or on a socket.

    Attributes:
        model: what answers.
        raw: bytes to send in place of the answer's body.
        framing: how the body is told to end: by its "length", "chunked", by the "end" of the
            connection; or "cut": one byte is missing of the length that was told.
        closing: what becomes of the connection after an answer: it is "announced" that it ends,
            which is left to the client; or it ends, "silent" or with a "reset"; or it is kept.
        drip, drip_head: seconds to wait between the bytes of the body, or of what stands before.
        split: send this many bytes of the answer by themselves, and the rest a moment later.
        afterthought: what to send after an answer has been read, though nobody asks for it.
        read: set by the test once that is so.
        hang_up: how many requests to read without an answer, closing the connection instead.
        connections: how many there were.
        answers: how many were sent, the afterthought of each included.
        open: those that are open.
        headers: of the last request.
    """

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.raw: bytes | None = None
        self.framing = "length"
        self.closing = ""
        self.drip = self.drip_head = 0.0
        self.split = 0
        self.afterthought = b""
        self.read = Event()
        self.hang_up = 0
        self.connections = self.answers = 0
        self.open: set[socket.socket] = set()
        self.headers: dict[str, str] = {}


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)


@contextmanager
def serving(address: Any, tls: ssl.SSLContext | None = None) -> Iterator[tuple[FakeServer, str]]:
    """A fake server at `("127.0.0.1", 0)` or on a path, and the MODEL_URL to reach it."""
    fake = FakeServer(FakeModel())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = not isinstance(address, str)

        def setup(self) -> None:
            fake.connections += 1
            fake.open.add(self.request)
            super().setup()

        def finish(self) -> None:
            fake.open.discard(self.request)
            super().finish()

        def do_GET(self) -> None:
            self._answer(fake.model.metadata)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(lambda: fake.model.infer(json.loads(body)))

        def _answer(self, ask: Any) -> None:
            fake.headers = dict(self.headers)
            if fake.hang_up:
                fake.hang_up -= 1
                self.close_connection = True
                return
            paths = (f"/v2/models/{MODEL_NAME}", f"/v2/models/{MODEL_NAME}/infer")
            try:
                status, answer = 200, ask()
            except RuntimeError as fault:
                status, answer = 500, {"error": str(fault)}
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer = 401, {"error": "a token is needed"}
            elif self.path not in paths:
                status, answer = 404, {"error": "no such path"}
            body = json.dumps(answer).encode() if fake.raw is None else fake.raw
            lines = [f"HTTP/1.1 {status} So", "Content-Type: application/json"]
            if fake.framing == "length":
                lines.append(f"Content-Length: {len(body)}")
            if fake.framing == "cut":
                lines.append(f"Content-Length: {len(body) + 1}")
            if fake.framing == "chunked":
                lines.append("Transfer-Encoding: chunked")
                parts = [body[start : start + 100] for start in range(0, len(body), 100)]
                body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
            if fake.closing == "announced":
                lines.append("Connection: close")
            ends = fake.framing == "end" or fake.closing in ("silent", "reset")
            reset = fake.closing == "reset"
            self._send("\r\n".join([*lines, "", ""]).encode(), body)
            self.close_connection = ends
            if reset:
                at_once = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                os.close(self.connection.detach())

        def _send(self, head: bytes, body: bytes) -> None:
            if fake.drip or fake.drip_head:
                for pause, part in ((fake.drip_head, head), (fake.drip, body)):
                    for byte in part:
                        time.sleep(pause)
                        self.wfile.write(bytes([byte]))
            else:
                answer = head + body
                for part in (answer[: fake.split], answer[fake.split :]):
                    self.wfile.write(part)
                    time.sleep(0.02 if fake.split else 0)
            if fake.afterthought and fake.read.wait(5):
                self.wfile.write(fake.afterthought)
                time.sleep(0.02)
            fake.answers += 1

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(_UnixServer if isinstance(address, str) else ThreadingHTTPServer):  # type: ignore[misc]
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client hung up, as it should

    server = Server(address, Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        if isinstance(address, str):
            yield fake, f"http+unix://{address}"
        else:
            yield fake, f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in list(fake.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


ENGINES: dict[str, FakeModel] = {}
"""What `open_engine` finds in which folder."""


def open_engine(folder: str) -> FakeModel:
    """The entry point of the library that the tests install."""
    if folder not in ENGINES:
        raise FileNotFoundError(folder)
    return ENGINES[folder]


def install_library(folder: Path) -> None:
    """Make a package in `folder` that brings `open_engine`; `folder` must be on `sys.path`."""
    package = folder / "fake_engine-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-engine\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[predictor.engine]\nlibrary = support:open_engine\n")
