"""`make bench`: an MLServer with the version measured, as one line of JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from conftest import DISH, MODEL, REPOSITORY, serving
from measuring import Caller, Running, files_mb, measure, packages_mb, show

from contract import golden

BODY = json.dumps(golden()[-1].request).encode()


@contextmanager
def start() -> Iterator[Running]:
    with TemporaryDirectory() as folder, serving(Path(folder)) as (port, process):
        yield Running(process.pid, lambda: Caller(port, f"{MODEL}/infer", BODY, {}))


if __name__ == "__main__":
    shipped = packages_mb(DISH / ".venv") + files_mb(REPOSITORY / "mlserver")
    show({**measure(start), "shipped_mb": shipped})
