"""A real MLServer with the repository, and a gateway before it as platforms have one."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from contract import MODEL_NAME
from model.artifacts.manifest import Manifest
from model.artifacts.opening import open_store
from model.settings import load_settings

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
REPOSITORY = DISH / "build/repository"
MODEL = f"/v2/models/{MODEL_NAME}"
TOKEN = "t" * 40


def pytest_sessionstart() -> None:
    """Run from the project's root, where the settings are."""
    os.chdir(ROOT)


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    store = open_store(load_settings())
    return store.read(store.folder().name)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something holds; a failure with the log once the process has ended."""
    while not holds():
        assert process.poll() is None, log.read_text("utf-8")[-5000:]
        time.sleep(0.1)


@contextmanager
def running(
    command: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the project's root, stopped at the end."""
    with log.open("wb") as output:
        variables = {**os.environ, **environment}
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def ask(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the content of an answer; 0 where nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json"}
    method, text = ("GET", None) if body is None else ("POST", json.dumps(body))
    try:
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None
    except ConnectionRefusedError:
        return 0, None
    finally:
        connection.close()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port and the process of an MLServer that will have the model; the folder has its log."""
    names = ("HTTP_PORT", "GRPC_PORT", "METRICS_PORT")
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in names]
        numbers = {f"MLSERVER_{name}": str(it) for name, it in zip(names, ports, strict=True)}
        folders = dict.fromkeys(("MLSERVER_METRICS_DIR", "MLSERVER_ENVIRONMENTS_DIR"), str(folder))
        environment = {"MLSERVER_HOST": "127.0.0.1", **numbers, **folders}
        command = [str(DISH / ".venv/bin/mlserver"), "start", str(REPOSITORY / "mlserver")]
        yield ports[0], stack.enter_context(running(command, environment, folder / "log"))


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an MLServer that has the model."""
    folder = tmp_path_factory.mktemp("mlserver")
    with serving(folder) as (port, process):
        wait_until(lambda: ask(port, f"{MODEL}/ready")[0] == 200, process, folder / "log")
        yield port


@pytest.fixture(scope="session")
def gateway(mlserver: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A port with TLS that lets through who has the token, and the certificate to trust."""
    certificate, key = (tmp_path_factory.mktemp("tls") / name for name in ("cert.pem", "key.pem"))
    command = f"""openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
      -subj /CN=gateway -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"""
    subprocess.run(command.split(), check=True, capture_output=True)

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body, status, content = self.rfile.read(length), 401, None
            if self.headers["Authorization"] == f"Bearer {TOKEN}":
                status, content = ask(mlserver, self.path, json.loads(body) if body else None)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: Any) -> None: ...

        def handle(self) -> None:
            with suppress(OSError):  # of a client that leaves
                super().handle()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, certificate
        server.shutdown()
        thread.join()
