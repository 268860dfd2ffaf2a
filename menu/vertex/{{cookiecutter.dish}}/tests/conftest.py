"""A container's process, started as Vertex AI does, and a stub of Cloud Storage."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
MODEL = str(ROOT / "model/.venv/bin/model")
HEALTH = "/v1/endpoints/7/deployedModels/8"
PREDICT = f"{HEALTH}:predict"

Start = Callable[..., int]


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":  # where the server could not have it either
            holder.close()
        yield port


def call(port: int, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def container(folder: Path, **environment: str) -> Iterator[int]:
    """The port of the image's process, which is healthy; it ends well."""
    with reserved_port() as port:
        variables = {
            "PATH": os.environ["PATH"],
            "AIP_HTTP_PORT": str(port),
            "AIP_HEALTH_ROUTE": HEALTH,
            "AIP_PREDICT_ROUTE": PREDICT,
            "MODEL_CACHE": str(folder / "cache"),
            **environment,
        }
        command = [str(ROOT / "model/.venv/bin/python"), str(DISH / "container.py")]
        process = subprocess.Popen(command, cwd=folder, env=variables)
        try:
            wait_for_health(port, process)
            yield port
        finally:
            process.terminate()
            assert process.wait(30) == 0


def wait_for_health(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until the container is healthy."""
    deadline = time.monotonic() + 180
    while True:
        assert process.poll() is None, "the container has ended"
        assert time.monotonic() < deadline, "the container does not become healthy"
        try:
            if call(port, "GET", HEALTH)[0] == 200:
                return
        except OSError:
            time.sleep(0.05)


@pytest.fixture(scope="session")
def store() -> str:
    """Where the versions are."""
    return os.path.join(ROOT, os.environ.get("MODEL_STORE", "artifacts"))


@pytest.fixture(scope="session")
def version() -> str:
    """The current one."""
    command = [MODEL, "show", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found: str = json.loads(done.stdout)["version"]
    return found


@pytest.fixture(scope="session")
def port(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a container whose version came with its image."""
    with container(tmp_path_factory.mktemp("app"), MODEL_STORE=store) as found:
        yield found


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
