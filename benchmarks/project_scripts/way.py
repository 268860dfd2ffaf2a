"""Run by the project's own Python (dev/.venv), in its folder: one way to the model, by MODEL_URL.

Prints JSON: milliseconds of one row, alone (median); rows a second of eight callers, one row each;
seconds from nothing to the first prediction; megabytes of memory of what runs the model, and of the
packages and the version that have to be there.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from shipped import shipped_mb

from contract import Features, golden
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import PredictorError, from_url
from service.predictors.access import Access

CALLERS = 8
TOKEN = "t" * 32


def main(url: str, seconds: float) -> dict[str, float]:
    """Measure it."""
    features = Features.model_validate(golden()[-1].features[0])
    before, start = memory_of(os.getpid()), time.perf_counter()
    with model_server(url):
        predictor = from_url(url, access=Access(lambda: [TOKEN]), connections=CALLERS)
        predictor.open()

        def predict() -> None:
            context = RequestContext("bench", time.monotonic() + 10, Trace.of(""))
            predictor.predict(features, context)

        wait_for(predict)
        start_seconds = time.perf_counter() - start
        calls_of(predict, 1)  # warms up
        alone = calls_of(predict, seconds)
        with ThreadPoolExecutor(CALLERS) as threads:
            some = [threads.submit(calls_of, predict, seconds) for _ in range(CALLERS)]
            calls = sum(len(each.result()) for each in some)
        memory = sum(map(memory_of, children())) or memory_of(os.getpid()) - before
    return {
        "one_row_ms": 1000 * median(alone),
        "rows_per_second": calls / seconds,
        "start_seconds": start_seconds,
        "memory_mb": memory,
        "shipped_mb": shipped_mb(),
    }


@contextmanager
def model_server(url: str) -> Iterator[None]:
    """The model server at this URL, where there is to be one."""
    if not url.startswith("http"):
        yield
        return
    process = subprocess.Popen(
        ["model/.venv/bin/model", "serve"],
        env={**os.environ, "MODEL_URL": url, "MODEL_TOKENS": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(predict: Callable[[], None]) -> None:
    """Ask until there is an answer, for a minute at most."""
    end = time.monotonic() + 60
    while True:
        try:
            return predict()
        except PredictorError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def calls_of(predict: Callable[[], None], seconds: float) -> list[float]:
    """The seconds of each call, one after the other, for so long."""
    found, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        predict()
        found.append(time.perf_counter() - start)
    return found


def children() -> list[int]:
    """All processes below this one."""
    found, parents = [os.getpid()], dict[int, int]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        parent = int(stat.read_text().rpartition(")")[2].split()[1])
        parents[int(stat.parent.name)] = parent
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def memory_of(pid: int) -> float:
    """Megabytes of a process, of what it shares its part."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kib,) = re.findall(r"(?m)^Pss:\s+(\d+) kB", rollup)
    return int(kib) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
