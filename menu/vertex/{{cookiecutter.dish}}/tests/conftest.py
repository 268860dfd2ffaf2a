"""A container's process, started as Vertex AI does, and a stub of Cloud Storage."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from servers import DISH, ROOT, Server, current_version, running

HEALTH = "/v1/endpoints/7/deployedModels/8"
PREDICT = f"{HEALTH}:predict"
STORE = os.path.join(ROOT, os.environ.get("MODEL_STORE", "artifacts"))


@contextmanager
def container(folder: Path, **more: str) -> Iterator[Server]:
    """The process of the image, in a folder; ready or not."""
    environment = {
        "AIP_HEALTH_ROUTE": HEALTH,
        "AIP_PREDICT_ROUTE": PREDICT,
        "MODEL_CACHE": str(folder / "cache"),
        **more,
    }
    command = [str(ROOT / "model/.venv/bin/python"), str(DISH / "container.py")]
    with running(command, folder, "AIP_HTTP_PORT", **environment) as server:
        yield server


@pytest.fixture(scope="session")
def version() -> str:
    """The current one."""
    return current_version()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A container whose version came with its image, and which ends well."""
    with container(tmp_path_factory.mktemp("app"), MODEL_STORE=STORE) as started:
        started.wait(HEALTH)
        yield started
    assert started.process.returncode == 0


class Storage(ThreadingHTTPServer):
    """Cloud Storage's XML interface, as far as a store of versions needs it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    """One connection to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Storage

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        _, _, name = unquote(url.path).lstrip("/").partition("/")
        if "list-type" in (query := parse_qs(url.query)):
            return self._list(query.get("prefix", [""])[0])
        content = self.server.objects.get(name)
        if content is None:
            return self._answer(404)
        self._answer(200, content, ETag=f'"{hashlib.md5(content).hexdigest()}"')

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        name = unquote(self.path).lstrip("/").partition("/")[2].partition("?")[0]
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("x-goog-if-generation-match") == "0" and name in self.server.objects:
            return self._answer(412)
        self.server.objects[name] = content
        self._answer(200, ETag=f'"{hashlib.md5(content).hexdigest()}"')

    def _list(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>x</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name, content in self.server.objects.items()
            if name.startswith(prefix)
        )
        self._answer(200, f"<ListBucketResult>{found}</ListBucketResult>".encode())

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("x-goog-generation", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    with Storage() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        account = {
            "type": "service_account",
            "gcs_base_url": f"http://127.0.0.1:{server.server_port}",
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        yield server
        server.shutdown()
        thread.join()
