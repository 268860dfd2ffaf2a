"""`make bench`: the container's process measured, as one line of JSON.

A start is that of the process, with its files in memory; Knative adds the schedule of a Pod and the
fetch of the image.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from container import HEADERS, INFER, container
from measuring import Caller, Running, measure, serving_mb, show

from contract import golden

BODY = json.dumps(golden()[-1].request).encode()


@contextmanager
def start() -> Iterator[Running]:
    with TemporaryDirectory() as folder, container(Path(folder), LOG_LEVEL="warning") as server:
        yield Running(server.process.pid, lambda: Caller(server.port, INFER, BODY, HEADERS))


if __name__ == "__main__":
    show({**measure(start), "shipped_mb": serving_mb()})
