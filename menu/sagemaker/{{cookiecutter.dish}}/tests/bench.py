"""`make bench`: the container's process measured, asked as the service asks, as one line of JSON.

The service's predictor signs and sends by botocore, straight to the container instead of by way of
SageMaker, which adds its own routing and the network.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conftest import KEYS, URL, container, unpack
from measuring import Ask, Running, measure, serving_mb, show
from sagemaker_predictor import SageMaker

from contract import Features, golden
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import Access, PredictorError

ROW = Features.model_validate(golden()[-1].features[0])


def connect(port: int) -> Ask:
    """A caller of the container at this port."""
    predictor = SageMaker(URL, access=Access(), connections=1)
    events = predictor._client.meta.events
    events.register("before-send.sagemaker-runtime", partial(redirect, port))

    def ask() -> None:
        try:
            predictor.predict(ROW, RequestContext("bench", time.monotonic() + 10, Trace.of("")))
        except PredictorError as error:
            raise ConnectionError(error) from None

    return ask


def redirect(port: int, request: Any, **_: object) -> None:
    """Send a signed request to the container's own route."""
    request.url = f"http://127.0.0.1:{port}/invocations"


def main() -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "unpacked")
        unpack(folder)

        @contextmanager
        def start() -> Iterator[Running]:
            with container(folder, LOG_LEVEL="warning") as server:
                yield Running(server.process.pid, partial(connect, server.port))

        show({**measure(start), "shipped_mb": serving_mb()})


if __name__ == "__main__":
    os.environ |= KEYS
    main()
