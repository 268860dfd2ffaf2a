"""A model that is gone, wrong or never seen does not fail the product's request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import GOLDEN, TARGET, Pair

EXPECTED = f"expected_{TARGET}"


def test_a_model_that_is_gone_is_replaced_by_its_fallback(
    pair: Pair, manifest: dict[str, Any]
) -> None:
    pair.place()
    pair.model.stop()
    try:
        assert "model" in json.dumps(pair.wait(503))
        placed = pair.place()
        assert placed["metadata"]["served_by"] == "fallback"
        assert placed["metadata"][EXPECTED] == manifest["fallback"][TARGET]
        assert pair.client.get("/livez").status_code == 200
        # The database keeps it: a new process knows it as well.
        pair.service.stop()
        pair.service.start()
        pair.wait(503)
        assert pair.place()["metadata"] == placed["metadata"]
    finally:
        pair.model.start()
    pair.wait(200)
    assert pair.place()["metadata"]["served_by"] == "model"


@contextmanager
def impostor(port: int, metadata: dict[str, Any], answer: dict[str, Any]) -> Iterator[None]:
    """A server at the model's address that is not the model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(metadata)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(answer)

        def _send(self, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


PARAMETERS = {"signature": "0123456789abcdef", "fallback": {}, "version": "0"}
ANSWER = {"model_name": "impostor", "model_version": "0", **GOLDEN["response"]}
IMPOSTORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another contract, though the tensors look right": (
        {"name": "impostor", "parameters": PARAMETERS},
        {**ANSWER, "parameters": PARAMETERS},
    ),
    "no model at all": ({}, {}),
    "tensors that are none": ({"inputs": [], "outputs": []}, {"outputs": "none"}),
}


def test_a_server_that_is_not_the_model_is_not_believed(store: Path, tmp_path: Path) -> None:
    def expect_nothing(pair: Pair, what: str) -> None:
        assert pair.wait(503)["checks"]["model"] != "ok", what
        placed = pair.place()
        assert placed["metadata"]["served_by"] == "none", what
        assert placed["metadata"][EXPECTED] is None, what

    url = "http://127.0.0.1:PORT"
    pair = Pair(tmp_path, store, f"sqlite:///{tmp_path / 'test.db'}", url)
    pair.service.start()
    try:
        expect_nothing(pair, "nobody")
        for what, (metadata, answer) in IMPOSTORS.items():
            with impostor(int(pair.model_url.rpartition(":")[2]), metadata, answer):
                expect_nothing(pair, what)
        pair.model.start()
        pair.wait(200)
        assert pair.place()["metadata"]["served_by"] == "model"
    finally:
        pair.stop()
