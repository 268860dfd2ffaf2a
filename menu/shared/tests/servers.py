"""A server's process, and requests to it; the product's service in front of it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from contract import TARGET, examples

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Server:
    """A process, and the port that it listens at."""

    port: int
    process: "subprocess.Popen[bytes]"

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON
    ) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait(self, path: str, holds: Callable[[bytes], bool] = lambda _: True) -> None:
        """Until the answer at a path is 200, and its body one of which something holds."""
        deadline = time.monotonic() + 180
        while True:
            assert self.process.poll() is None, "the process has ended"
            assert time.monotonic() < deadline, f"{path} is not as it should be"
            with suppress(OSError, HTTPException):
                status, body = self.call("GET", path)
                if status == 200 and holds(body):
                    return
            time.sleep(0.01)


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


@contextmanager
def running(
    command: Sequence[str], folder: Path, port_name: str, **environment: str
) -> Iterator[Server]:
    """A process in a folder, ready or not; the variable `port_name` says where to listen."""
    with reserved_port() as port:
        variables = {"PATH": os.environ["PATH"], **environment, port_name: str(port)}
        process = subprocess.Popen(command, cwd=folder, env=variables)
        try:
            yield Server(port, process)
        finally:
            process.terminate()
            process.wait(30)


def current_version() -> str:
    """The version that the project's store has as the current one."""
    command = ["model/.venv/bin/model", "show", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found: str = json.loads(done.stdout)["version"]
    return found


@contextmanager
def product(folder: Path, environment: Path, **settings: str) -> Iterator[Server]:
    """The product's service, from an environment that has it, once it has its model.

    It has checked the model before, by the contract and the version's self-test.
    """
    command = str(environment / "bin/service")
    with reserved_port() as ops:
        variables = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder / 'test.db'}",
            "MODEL_DEADLINE": "10",
            "OPS_PORT": str(ops),
            **settings,
        }
        for once in ("migrate", "check"):
            subprocess.run([command, once], cwd=ROOT, env=variables, check=True)
        with running([command, "serve"], ROOT, "PORT", **variables) as server:
            server.wait("/readyz", lambda body: json.loads(body)["model"] == "ok")
            yield server


def place(product: Server) -> dict[str, Any]:
    """The metadata in the product's answer to a new row."""
    document = json.loads(product.call("GET", "/openapi.json")[1])
    path = next(name for name, methods in document["paths"].items() if "post" in methods)
    row = {name: value for name, value in examples()[0].items() if name != TARGET.name}
    status, answer = product.call("POST", path, json.dumps(row).encode())
    assert status == 201, answer
    metadata: dict[str, Any] = json.loads(answer)["metadata"]
    return metadata
