"""Load at a steady rate, from another process: what wrk has not, nor the sockets of files.

Each request has its moment, whatever became of the ones before, and its latency counts from there.
"""

import gc
import json
import sys
import tempfile
import time
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from load import Target
from paths import BENCHMARKS
from processes import Failed, run_command
from serving import Client

CALLERS = 8


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        due: when it was to be sent, by the monotonic clock.
        seconds: from then to its response.
        body: which of the bodies it had.
        tries: how many it took: as the service does, a caller repeats a request once whose
            connection was closed before any response.
        response: the JSON; None if it failed.
    """

    due: float
    seconds: float
    body: int
    tries: int
    response: Any


def put_steady_load(target: Target, rate: int, start: float, seconds: int) -> list[Answer]:
    """Post so many bodies a second, from a moment of the monotonic clock on."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        bodies = [body.decode() for body in target.bodies]
        json.dump({**asdict(target), "bodies": bodies}, file)
        file.flush()
        command: list[str | Path] = [sys.executable, BENCHMARKS / "steady.py", file.name]
        printed = run_command(*command, f"{rate}", f"{start}", f"{seconds}")
    return [Answer(*each) for each in json.loads(printed)]


def call(target: Target, due: dict[int, float], answers: list[Answer]) -> None:
    """Post the bodies that are due to one caller, on one connection."""
    client = Client(target)
    for number, moment in due.items():
        body = number % len(target.bodies)
        time.sleep(max(moment - time.monotonic(), 0))
        response, tries = None, 0
        while response is None and (tries := tries + 1) <= 2:
            try:
                response = client.post(target.bodies[body])
            except Failed:
                break
            except (OSError, HTTPException):
                client.close()
        answers.append(Answer(moment, time.monotonic() - moment, body, tries, response))
    client.close()


def main() -> None:
    """Put the load that the command line says, print what became of it."""
    file, rate, start, seconds = sys.argv[1], *map(float, sys.argv[2:])
    given = json.loads(Path(file).read_text("utf-8"))
    target = Target(**{**given, "bodies": [body.encode() for body in given["bodies"]]})
    due = {number: start + number / rate for number in range(round(rate * seconds))}
    answers: list[Answer] = []
    gc.disable()  # no answer is to wait for a search for garbage among those before
    callers = [
        Thread(target=call, args=(target, dict(part), answers))
        for part in (list(due.items())[caller::CALLERS] for caller in range(CALLERS))
    ]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
