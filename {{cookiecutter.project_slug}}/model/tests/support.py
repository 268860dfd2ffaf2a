"""The server as its own process, and connections to it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from conftest import INFER, REQUEST, TOKENS

from model.artifacts.store import Store

BODY = json.dumps(REQUEST).encode()
AUTHORIZATION = {"Authorization": f"Bearer {TOKENS[0]}"}
PATIENCE = 60.0
"""Seconds to wait for what must come, if late on a busy machine."""
At = int | Path
"""A port of this machine, or the path of a socket."""


class Connection(HTTPConnection):
    def __init__(self, at: At) -> None:
        super().__init__("127.0.0.1", at if isinstance(at, int) else 80, timeout=PATIENCE)
        self.at = at

    def connect(self) -> None:
        if isinstance(self.at, int):
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self.at))

    def ask(self, body: Any = BODY, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of the response to one inference request."""
        self.request("POST", INFER, body, {**AUTHORIZATION, **headers})
        return self.answer()

    def begin(self, body: bytes, **headers: str) -> None:
        """Send the head of an inference request, and so much of its body."""
        self.putrequest("POST", INFER)
        for item in {**AUTHORIZATION, "Content-Length": str(len(BODY)), **headers}.items():
            self.putheader(*item)
        self.endheaders(body)

    def answer(self) -> tuple[int, Any]:
        """The status and the JSON of the next response."""
        response = self.getresponse()
        return response.status, json.loads(response.read())

    def ends(self) -> bool:
        """Wait until the server closes the connection; whether it sends nothing before."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


@contextmanager
def connected(at: At) -> Iterator[Connection]:
    with closing(Connection(at)) as connection:
        connection.connect()
        yield connection


def ask(at: At, body: Any = BODY) -> int:
    """The status of the response to one inference request on a connection of its own."""
    with connected(at) as connection:
        return connection.ask(body)[0]


def eventually(holds: Callable[[], Any], within: float = PATIENCE) -> Any:
    """What this returns once that is true, or when the time is over."""
    deadline = time.monotonic() + within
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


class Server:
    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        eventually(lambda: process.poll() is not None or self.lines("event", "Listening at: "))
        assert process.poll() is None, (folder / "log").read_text("utf-8")
        (line,) = self.lines("event", "Listening at: ")
        _, _, port = line["event"].split()[2].rpartition(":")
        self.at: At = int(port) if port.isdecimal() else folder / port

    def lines(self, field: str, start: str = "") -> list[dict[str, Any]]:
        """The lines of its log so far in which a field begins like this."""
        text = (self.folder / "log").read_text("utf-8")
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return [line for line in lines if str(line.get(field, "")).startswith(start)]

    def workers(self) -> list[int]:
        """Its processes that serve."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # of a process that ends just now
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(stat.parent.name))
        return found


@contextmanager
def serving(
    store: Store,
    cwd: Path,
    url: str = "http+unix://run/model.sock",
    tolerated: tuple[str, ...] = (),
    settings: dict[str, str] | None = None,
    **constants: int,
) -> Iterator[Server]:
    """A server in this folder, stopped at the end; its log has no error but those tolerated.

    Args:
        settings: by name.
        constants: of model/serving/server.py and worker.py, with other values.
    """
    given = {"MODEL_URL": url, "MODEL_STORE": str(store.path), "MODEL_TOKENS": ",".join(TOKENS)}
    code = "import model.cli, model.serving.server as server, model.serving.worker as worker\n"
    for name, value in constants.items():
        code += f"module = server if hasattr(server, {name!r}) else worker\n"
        code += f"assert hasattr(module, {name!r}); module.{name} = {value}\n"
    (cwd / "log").unlink(missing_ok=True)  # to which workers of another one may write yet
    with (cwd / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}model.cli.main()", "serve"],
            cwd=cwd,
            env={**os.environ, **given, "LOG_FORMAT": "json", **(settings or {})},
            stdout=log,
            stderr=log,
        )
    try:
        server = Server(process, cwd)
        assert ask(server.at) == 200
        yield server
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    errors = [
        line["event"] for each in ("error", "critical") for line in server.lines("level", each)
    ]
    assert not [each for each in errors if not any(part in each for part in tolerated)]
