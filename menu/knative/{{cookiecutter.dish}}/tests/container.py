"""The container's process, as service.yaml has it: its command, its environment, and PORT."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
MANIFEST: dict[str, Any] = yaml.safe_load((DISH / "service.yaml").read_text("utf-8"))
TEMPLATE: dict[str, Any] = MANIFEST["spec"]["template"]
CONTAINER: dict[str, Any] = TEMPLATE["spec"]["containers"][0]
TOKEN = secrets.token_urlsafe()
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


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


@dataclass
class Container:
    """A process, and the port that it listens at."""

    port: int
    process: "subprocess.Popen[bytes]"

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = HEADERS
    ) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait(self) -> None:
        """Until its readiness probe succeeds."""
        path = CONTAINER["readinessProbe"]["httpGet"]["path"]
        deadline = time.monotonic() + 180
        while True:
            assert self.process.poll() is None, "the container has ended"
            assert time.monotonic() < deadline, "the container does not become ready"
            try:
                if self.call("GET", path, headers={})[0] == 200:
                    return
            except OSError:
                time.sleep(0.005)


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Container]:
    """The process, its files in a folder; ready or not."""
    tokens = folder / "model_tokens"
    tokens.write_text(TOKEN)
    given = {each["name"]: each["value"] for each in CONTAINER["env"]}
    with reserved_port() as port:
        environment = {
            **given,
            "PATH": f"{ROOT / 'model/.venv/bin'}:{os.environ['PATH']}",
            "PORT": str(port),
            "MODEL_STORE": os.path.join(ROOT, os.environ.get("MODEL_STORE", "artifacts")),
            "MODEL_TOKENS_FILE": str(tokens),
            **more,
        }
        process = subprocess.Popen(CONTAINER["command"], cwd=folder, env=environment)
        try:
            yield Container(port, process)
        finally:
            process.kill()
            process.wait()
