"""Run by the project's own Python (dev/.venv), in its folder: one way to the model, by MODEL_URL.

Measured as the dishes measure servers, by the `measuring.py` of one; prints the same line of JSON.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from measuring import CALLERS, memory_mb, processes, serving_mb, show, speeds, wait_for

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
        numbers = {"start_seconds": time.perf_counter() - start}
        numbers |= speeds(ask, [ask] * CALLERS)
        others = [*processes(os.getpid())][1:]
        numbers["memory_mb"] = sum(map(memory_mb, others)) or memory_mb() - before
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
