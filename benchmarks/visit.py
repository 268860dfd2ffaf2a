"""One visit to one contestant: started, checked, measured, stopped."""

import http.client
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from contestants import Contestant
from load import Target, press
from memory import memory_of
from places import TEMPLATE
from processes import Server, free_port, running
from project import answers, artifact, rows

READY_WITHIN = 120.0  # seconds
WARM_UP = 2  # seconds
TOLERANCE = 1e-5
CONNECTIONS = (8, 1)


class Disqualified(Exception):
    """A contestant that answered wrongly, late or not at all; the message says which."""


@dataclass(frozen=True)
class Address:
    """A contestant that runs, and where."""

    server: Server
    target: Target
    decode: Any
    answers: list[float]


class Asker:
    """Asks one question after another on one connection, opened again where it was closed."""

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.url)
        self._path = url.path
        self._headers = {"Content-Type": "application/json", **target.headers}
        self._connection = http.client.HTTPConnection(url.netloc, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, body: bytes) -> Any:
        """The JSON of the answer.

        Raises:
            Disqualified: it is of another status than 200 or 201.
            OSError, http.client.HTTPException: there is none.
        """
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status not in (200, 201):
            raise Disqualified(f"answered {response.status}: {content.decode()[:300]}")
        return json.loads(content)


def spoken(question: Any) -> bytes:
    """The body of a request."""
    return json.dumps(question).encode()


@contextmanager
def started(
    contestant: Contestant, environment: Mapping[str, str] | None = None
) -> Iterator[Address]:
    """A contestant on a free port, for as long as it is needed; it may not be ready yet."""
    names = {name: str(free_port()) for name in ("port", "spare", "spare_2")}
    names["model"] = str(artifact(contestant.artifact))
    filled = {name: value.format_map(names) for name, value in contestant.environment.items()}
    command = [each.format_map(names) for each in contestant.command]
    target = Target(
        url=f"http://127.0.0.1:{names['port']}{contestant.path}",
        headers=contestant.headers,
        bodies=[spoken(contestant.encode(row)) for row in rows()],
    )
    path = os.pathsep.join([str(contestant.python.parent), os.environ["PATH"]])
    expected = answers()  # reckoned before the clock of the start runs
    settings = {"PATH": path, **filled, **(environment or {})}
    with running(contestant.name, command, settings, contestant.cwd) as server:
        yield Address(server, target, contestant.decode, expected)


def seconds_to_answer(address: Address) -> float:
    """Seconds from the start of the process to its first correct answer.

    Raises:
        Disqualified: it has ended, or takes longer than READY_WITHIN.
    """
    reason: Exception | None = None
    while time.monotonic() < address.server.started + READY_WITHIN:
        if (status := address.server.ended()) is not None:
            log = address.server.log.relative_to(TEMPLATE)
            raise Disqualified(f"ended with {status}; see {log}")
        try:
            with Asker(address.target) as asker:
                answer = address.decode(asker.ask(address.target.bodies[0]))
            if math.isclose(answer, address.answers[0], rel_tol=TOLERANCE):
                return time.monotonic() - address.server.started
            reason = Disqualified(f"answered {answer} instead of {address.answers[0]}")
        except (OSError, http.client.HTTPException, Disqualified) as error:
            reason = error
        time.sleep(0.01)
    raise Disqualified(f"not ready after {READY_WITHIN:.0f} s: {reason}")


def check(address: Address) -> None:
    """Ask about every row.

    Raises:
        Disqualified: an answer differs from scikit-learn's.
    """
    with Asker(address.target) as asker:
        for number, (body, expected) in enumerate(
            zip(address.target.bodies, address.answers, strict=True)
        ):
            answer = address.decode(asker.ask(body))
            if not math.isclose(answer, expected, rel_tol=TOLERANCE):
                raise Disqualified(f"row {number}: answered {answer} instead of {expected}")


def loads(target: Target, seconds: int) -> dict[str, Any]:
    """After a warm-up, the load that is borne without one error, by the number of connections.

    Raises:
        Disqualified: there were errors, or no answer at all.
    """
    press(target, max(CONNECTIONS), WARM_UP)
    found = {}
    for connections in CONNECTIONS:
        load = press(target, connections, seconds)
        if load.errors:
            raise Disqualified(f"errors with {connections} connections: {load.errors}")
        if not load.rps:
            raise Disqualified(f"no answer with {connections} connections")
        found[str(connections)] = asdict(load)
    return found


def visit(contestant: Contestant, seconds: int) -> dict[str, Any]:
    """Everything that one round finds out about a contestant.

    Raises:
        Disqualified: it answered wrongly, late or not at all.
    """
    with started(contestant) as address:
        start = seconds_to_answer(address)
        check(address)
        load = loads(address.target, seconds)
        return {"start": start, "memory": asdict(memory_of(address.server)), "load": load}


def visit_workers(ours: Contestant, workers: int) -> dict[str, Any]:
    """The memory of our server with so many workers, each of which has answered."""
    with started(ours, {"MODEL_WORKERS": str(workers)}) as address:
        seconds_to_answer(address)
        press(address.target, 16 * workers, WARM_UP)
        return asdict(memory_of(address.server))
