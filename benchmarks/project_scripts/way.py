"""Run by the project's own Python (dev/.venv), in its folder: one way to the model, by MODEL_URL.

Measured as the dishes measure servers, by the `measuring.py` of one; prints the same line of JSON.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from measuring import CALLERS, SECONDS, calls_of, memory_mb, processes, serving_mb, show, wait_for

from contract import Features, golden
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import PredictorError, from_url
from service.predictors.access import Access

TOKEN = "t" * 32


def main(url: str) -> None:
    """Measure it."""
    features = Features.model_validate(golden()[-1].features[0])
    before, start = memory_mb(), time.perf_counter()
    with model_server(url):
        predictor = from_url(url, access=Access(lambda: [TOKEN]), connections=CALLERS)
        predictor.open()

        def ask() -> None:
            context = RequestContext("bench", time.monotonic() + 10, Trace.of(""))
            try:
                predictor.predict(features, context)
            except PredictorError as error:
                raise ConnectionError(str(error)) from error

        wait_for(ask)
        start_seconds = time.perf_counter() - start
        calls_of(ask, SECONDS / 4)  # warms up
        alone = calls_of(ask, SECONDS)
        asks: list[Callable[[], None]] = [ask] * CALLERS
        with ThreadPoolExecutor(CALLERS) as threads:
            calls = [*threads.map(calls_of, asks, [SECONDS] * CALLERS)]
        others = [*processes(os.getpid())][1:]
        memory = sum(map(memory_mb, others)) or memory_mb() - before
    numbers = {
        "one_row_ms": 1000 * median(alone),
        "rows_per_second": sum(map(len, calls)) / SECONDS,
        "start_seconds": start_seconds,
        "memory_mb": memory,
    }
    show({**numbers, "shipped_mb": serving_mb()})


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


if __name__ == "__main__":
    main(sys.argv[1])
