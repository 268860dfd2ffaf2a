"""One server: started, its predictions checked, its start, load and memory measured."""

import http.client
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from load import Target, put_load
from memory import memory_of
from paths import TEMPLATE
from processes import Failed, Process, free_port, running
from project import history, history_predictions, model_file, sample
from servers import MLFLOW_MODEL, Server

READY_WITHIN_SECONDS = 120.0
WARM_UP_SECONDS = 2
RELATIVE_TOLERANCE = 1e-5
CONNECTIONS = (8, 1)


@dataclass(frozen=True)
class Running:
    """A server that runs, the requests for it, and the predictions expected in its responses."""

    process: Process
    target: Target
    decode: Callable[[Any], float]
    expected: Sequence[float]


class SocketConnection(http.client.HTTPConnection):
    """A connection over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path, self._timeout = path, timeout

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._timeout)
        self.sock.connect(self._path)


class Client:
    """Posts one body after another on one connection, opened again where the server closed it."""

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.url)
        self._path = url.path
        self._headers = {"Content-Type": "application/json", **target.headers}
        self._connection = (
            SocketConnection(target.socket, timeout=10)
            if target.socket
            else http.client.HTTPConnection(url.netloc, timeout=10)
        )
        self.close = self._connection.close

    def post(self, body: bytes) -> Any:
        """The JSON of the response.

        Raises:
            Failed: it has another status than 200 or 201.
            OSError, http.client.HTTPException: there is none.
        """
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status not in (200, 201):
            raise Failed(f"answered {response.status}: {content.decode()[:300]}")
        return json.loads(content)


@contextmanager
def started(server: Server, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A server on a free port, for as long as the block runs; it may not be ready yet."""
    names = {name: str(free_port()) for name in ("port", "spare", "spare_2")}
    names |= {"model": str(model_file(server.model)), "mlflow_model": str(MLFLOW_MODEL)}
    target = Target(
        url=f"http://127.0.0.1:{names['port']}{server.path}",
        headers=server.headers,
        bodies=[json.dumps(server.encode(row)).encode() for row in sample(history())],
    )
    variables = {
        "PATH": os.pathsep.join([str(server.python.parent), os.environ["PATH"]]),
        **{name: value.format_map(names) for name, value in server.environment.items()},
        **(environment or {}),
    }
    command = [each.format_map(names) for each in server.command]
    expected = sample(history_predictions())  # computed before the clock of the start runs
    with running(server.name, command, variables, server.cwd) as process:
        yield Running(process, target, server.decode, expected)


def wait_until_ready(server: Running) -> float:
    """Wait for the first correct prediction; returns the seconds since the process was started.

    Raises:
        Failed: it has ended, or takes longer than READY_WITHIN_SECONDS.
    """
    reason: Exception | None = None
    while time.monotonic() < server.process.started + READY_WITHIN_SECONDS:
        if (status := server.process.exit_status()) is not None:
            log = server.process.log.relative_to(TEMPLATE)
            raise Failed(f"ended with {status}; see {log}")
        try:
            with closing(Client(server.target)) as client:
                prediction = server.decode(client.post(server.target.bodies[0]))
            check([prediction], server.expected[:1])
            return time.monotonic() - server.process.started
        except (OSError, http.client.HTTPException, Failed) as error:
            reason = error
        time.sleep(0.01)
    raise Failed(f"not ready after {READY_WITHIN_SECONDS:.0f} s: {reason}")


def check(predictions: Sequence[float], expected: Sequence[float]) -> None:
    """Compare predictions with scikit-learn's.

    Raises:
        Failed: they are not as many, or one of them differs.
    """
    if len(predictions) != len(expected):
        raise Failed(f"{len(predictions)} predictions for {len(expected)} rows")
    for row, (prediction, right) in enumerate(zip(predictions, expected, strict=True)):
        if not math.isclose(prediction, right, rel_tol=RELATIVE_TOLERANCE):
            raise Failed(f"row {row}: predicted {prediction} instead of {right}")


def check_every_row(server: Running) -> None:
    """Compare a server's prediction for every row of the sample with scikit-learn's."""
    with closing(Client(server.target)) as client:
        check([server.decode(client.post(it)) for it in server.target.bodies], server.expected)


def measure_load(target: Target, seconds: int) -> dict[str, Any]:
    """After a warm-up, the load for each number of connections, without a single error."""
    put_load(target, max(CONNECTIONS), WARM_UP_SECONDS)
    loads = {f"{each}": put_load(target, each, seconds) for each in CONNECTIONS}
    for connections, load in loads.items():
        if load["errors"]:
            raise Failed(f"errors with {connections} connections: {load['errors']}")
        if not load["rps"]:
            raise Failed(f"no response with {connections} connections")
    return loads


def measure_server(server: Server, seconds: int) -> dict[str, Any]:
    """One round of a server: its start, memory and load."""
    with started(server) as one:
        start = wait_until_ready(one)
        check_every_row(one)
        load = measure_load(one.target, seconds)
        return {"start_seconds": start, "memory": memory_of(one.process), "load": load}


def measure_workers(server: Server, workers: int) -> dict[str, Any]:
    """The memory of our server with so many workers, after load enough for each of them."""
    with started(server, {"MODEL_WORKERS": str(workers)}) as one:
        wait_until_ready(one)
        put_load(one.target, 16 * workers, WARM_UP_SECONDS)
        return memory_of(one.process)
