"""How each server of the model is measured: three starts, and each time one caller, then several.

Linux alone tells what memory processes share.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.metadata import distributions
from itertools import repeat
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[3]
STARTS, CALLERS, SECONDS = 3, 8, 2

Ask = Callable[[], object]
"""Asks for one prediction; an OSError or HTTPException if there is none."""


@dataclass(frozen=True)
class Running:
    """A server that was started, ready or not.

    Attributes:
        process: the id of its process, which may have others below it.
        connect: gives one more caller, which keeps its connection.
    """

    process: int
    connect: Callable[[], Ask]


class Caller:
    """Asks at a port for the prediction in one request, by a connection of its own."""

    def __init__(self, port: int, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._request = ("POST", path, body, {"Content-Type": "application/json", **headers})

    def __call__(self) -> None:
        """Ask."""
        try:
            self._connection.request(*self._request)
            answer = self._connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise HTTPException(f"{answer.status}: {content!r:.1000}")
        except (OSError, HTTPException):
            self._connection.close()  # the next request makes another
            raise


def measure(
    start: Callable[[], AbstractContextManager[Running]], callers: int = CALLERS
) -> dict[str, float]:
    """The medians over the starts: what the page of all deployments compares."""
    found = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        with start() as running:
            ask = running.connect()
            wait_for(ask)
            numbers = {"start_seconds": time.perf_counter() - begin}
            numbers |= speeds(ask, [running.connect() for _ in range(callers)])
            numbers["memory_mb"] = sum(map(memory_mb, processes(running.process)))
        found.append(numbers)
    return {name: median(each[name] for each in found) for name in found[0]}


def speeds(ask: Ask, asks: Sequence[Ask]) -> dict[str, float]:
    """How long one caller waits, and how many predictions several get in a second."""
    calls_of(ask, SECONDS / 4)  # warms up
    alone = calls_of(ask, SECONDS)
    with ThreadPoolExecutor(len(asks)) as threads:
        calls = [*threads.map(calls_of, asks, repeat(SECONDS))]
    return {
        "one_row_ms": 1000 * median(alone),
        "rows_per_second": sum(map(len, calls)) / SECONDS,
    }


def wait_for(ask: Ask) -> None:
    """Ask until there is an answer, for a minute at most."""
    end = time.monotonic() + 60
    while True:
        try:
            ask()
            return
        except (OSError, HTTPException):
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def calls_of(ask: Ask, seconds: float) -> list[float]:
    """The seconds of each call, one after the other, for so long."""
    found, end = [], time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        ask()
        found.append(time.perf_counter() - begin)
    return found


def processes(process: int) -> Iterable[int]:
    """A process, and all below it."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(int(child))


def memory_mb(process: int | str = "self") -> float:
    """Megabytes of a process, its share of those that others have too."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    (kib,) = re.findall(r"(?m)^Pss:\s+(\d+) kB", rollup)
    return int(kib) * 1024 / 1e6


def packages_mb(environment: Path, *requirements: Path) -> float:
    """Megabytes of what is installed in an environment: all of it, or what files pin."""
    pins = "".join(path.read_text("utf-8") for path in requirements)
    pinned = set(re.findall(r"(?m)^([a-z0-9-]+)==", pins))
    (packages,) = environment.glob("lib/python*/site-packages")
    return sum(
        (file.size or 0) / 1e6
        for each in distributions(path=[str(packages)])
        if not requirements or re.sub("[-_.]+", "-", each.name).lower() in pinned
        for file in each.files or []
    )


def serving_mb() -> float:
    """Megabytes of what serves a compiled version: the packages that it needs, and its graph."""
    graphs = (path.stat().st_size for path in ROOT.glob("artifacts/*/model.onnx"))
    pins = ROOT / "model/requirements-serving.txt"
    return packages_mb(ROOT / "model/.venv", pins) + max(graphs, default=0) / 1e6


def files_mb(folder: Path) -> float:
    """Megabytes of the files in a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / 1e6


def show(numbers: Mapping[str, float]) -> None:
    """Print them as the one line of JSON that `make bench` ends with."""
    print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))
