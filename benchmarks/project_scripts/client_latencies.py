"""Run by the service's own Python: p50 of a prediction by its client, of two ways in turn.

A block of the one follows a block of the other, so that both meet the same moments of the machine.
"""

import json
import logging
import os
import sys
import time
from contextlib import suppress
from statistics import median

from contract import Features, examples
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import Access, Predictor, PredictorError, from_url

BLOCK, WARM_UP, PATIENCE_SECONDS = 100, 300, 30
ROW = Features.model_validate({name: examples()[0][name] for name in Features.model_fields})
TRACE = Trace.of("")


def seconds_of(predictor: Predictor, deadline: float = 5) -> float:
    """How long one prediction takes."""
    start = time.perf_counter()
    predictor.predict(ROW, RequestContext("r1", time.monotonic() + deadline, TRACE))
    return time.perf_counter() - start


def wait_for(predictor: Predictor) -> None:
    """Return once it predicts, and is warm."""
    until = time.monotonic() + PATIENCE_SECONDS
    predictor.open()
    while time.monotonic() < until:
        with suppress(PredictorError):
            for _ in range(WARM_UP):
                seconds_of(predictor)
            return
        time.sleep(0.1)
    sys.exit("no prediction")


if __name__ == "__main__":
    seconds, urls = int(sys.argv[1]), sys.argv[2:]
    logging.getLogger().setLevel("INFO")  # as the other's: the child logs what its parent would
    access = Access(lambda: [os.environ["MODEL_TOKENS"]])
    predictors = [from_url(url, access=access, connections=1) for url in urls]
    for each in predictors:
        wait_for(each)
    found: list[list[float]] = [[] for _ in predictors]
    both = list(zip(predictors, found, strict=True))
    end = time.monotonic() + seconds * len(both)
    while time.monotonic() < end:
        for predictor, times in both:
            times.extend(seconds_of(predictor) for _ in range(BLOCK))
        both.reverse()
    print(json.dumps([1000 * median(times) for times in found]))
