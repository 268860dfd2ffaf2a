"""A version tried out in a real server of its own, as it would serve: does it answer, how fast?"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter

from contract import MODEL_NAME, Features
from contract.tensors import inputs_of, predictions_of
from contract.tolerance import check_predictions
from model.artifacts.manifest import Manifest
from model.artifacts.verification import read_manifest
from model.errors import ModelError
from model.settings import Settings

START_SECONDS = 60
"""Seconds within which a server has to answer."""
STOP_SECONDS = 10
CALLS = 200
"""Requests of one row, of which the median time counts."""
SERVE = "from model.cli import main; main()"
INFER = f"/v2/models/{MODEL_NAME}/infer"


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Attributes:
        latency_ms: of a request with one row, the median.
        memory_mb: of the server's processes.
    """

    latency_ms: float
    memory_mb: float


def try_out(folders: list[Path], settings: Settings) -> list[Trial]:
    """Serve the versions in these folders beside each other, and ask each in turn.

    Raises:
        ModelError: one does not start, or does not pass its self-test.
    """
    with ExitStack() as stack:
        servers = [_Server(folder, settings, stack) for folder in folders]
        for server in servers:
            server.test()
        for server in servers:
            server.connect()  # anew: those that waited for others were closed
        times = [[server.time() for server in servers] for _ in range(CALLS)]
        return [
            Trial(1000 * median(own), server.memory() / 2**20)
            for server, own in zip(servers, zip(*times, strict=True), strict=True)
        ]


class _Server:
    """A server of one version at a socket of its own, stopped with the stack."""

    def __init__(self, folder: Path, settings: Settings, stack: ExitStack) -> None:
        self._manifest: Manifest = read_manifest(folder)
        self._work = Path(stack.enter_context(TemporaryDirectory(prefix="trial-")))
        self._token = secrets.token_urlsafe(32)
        others = {name: it for name, it in os.environ.items() if not name.startswith("MODEL_")}
        own = {
            "MODEL_URL": "http+unix://model.sock",
            "MODEL_TOKENS": self._token,
            "MODEL_STORE": str(folder.parent.resolve()),
            "MODEL_VERSION": folder.name,
            "MODEL_VERIFY_KEYS": ",".join(str(key.resolve()) for key in settings.model_verify_keys),
            "LOG_FORMAT": "json",
        }
        with (self._work / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-c", SERVE, "serve"],
                cwd=self._work,  # where no `.env` is
                env={**others, **own},
                stdout=log,
                stderr=log,
            )
        self._stack = stack
        stack.callback(self._stop)

    def connect(self) -> None:
        """Open the connection on which it is asked from now on."""
        self._connection = self._stack.enter_context(self._connected())

    def test(self) -> None:
        """Raise ModelError unless it passes its self-test."""
        self.connect()
        test = self._manifest.self_test
        rows = [Features(**row) for row in json.loads(test.message())["rows"]]
        answer = self._ask(INFER, json.dumps({"inputs": inputs_of(rows)}))
        predictions = [each.model_dump() for each in predictions_of(json.loads(answer))]
        try:
            check_predictions(predictions, test.predictions)
        except ValueError as error:
            raise ModelError(f"its server fails the self-test: {error}") from None
        self._row = json.dumps({"inputs": inputs_of(rows[:1])})

    def time(self) -> float:
        """Seconds that a request of one row takes."""
        start = perf_counter()
        self._ask(INFER, self._row)
        return perf_counter() - start

    def memory(self) -> float:
        """Bytes of its processes, as it tells itself."""
        lines = self._ask("/metrics").decode().splitlines()
        (line,) = (each for each in lines if each.startswith("process_resident_memory_bytes"))
        return float(line.rpartition(" ")[2])

    def _ask(self, path: str, body: str | None = None) -> bytes:
        """What it answers; raises ModelError if that is not what was asked for."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            self._connection.request("POST" if body else "GET", path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            raise ModelError(f"its server does not answer: {self._fault() or error}") from None
        if response.status != 200:
            raise ModelError(f"its server answers {response.status}: {content.decode():.200}")
        return content

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        """A connection to it, once it listens."""
        deadline = monotonic() + START_SECONDS
        while self._process.poll() is None and monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as own, suppress(OSError):
                own.connect(str(self._work / "model.sock"))
                own.settimeout(START_SECONDS)
                connection = HTTPConnection("model")
                connection.sock = own
                yield connection
                return
            time.sleep(0.02)
        raise ModelError(f"its server does not start: {self._fault() or 'no reason given'}")

    def _fault(self) -> str:
        """The first error that it has logged, if it ends now."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        lines = (self._work / "log").read_text("utf-8", "replace").splitlines()
        for line in lines:
            if line.startswith("model: "):
                return line.removeprefix("model: ")
            with suppress(ValueError):
                if (entry := json.loads(line))["level"] == "error":
                    return str(entry["event"])
        return ""

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
