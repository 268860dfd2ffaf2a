"""`make bench`: the container's process measured, one instance a request, as one line of JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from conftest import PREDICT, STORE, container
from measuring import Caller, Running, measure, serving_mb, show

from contract import golden

BODY = json.dumps({"instances": golden()[-1].features[:1]}).encode()


@contextmanager
def start() -> Iterator[Running]:
    settings = {"MODEL_STORE": STORE, "LOG_LEVEL": "warning"}
    with TemporaryDirectory() as folder, container(Path(folder), **settings) as server:
        yield Running(server.process.pid, lambda: Caller(server.port, PREDICT, BODY, {}))


if __name__ == "__main__":
    show({**measure(start), "shipped_mb": serving_mb()})
