"""The pair: `POST /orders` through the service, for each way to its model and each database."""

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from load import Target
from paths import BENCHMARKS, BUILD, PROJECT
from processes import Failed, free_port, run_command, running
from project import MODEL, history, history_predictions, sample
from servers import OURS, STORES, TOKEN
from serving import Running, check_every_row, measure_load, wait_until_ready

MODEL_URLS = {
    "unix": "http+unix://run/bench.sock",
    "http": "http://127.0.0.1:{port}",
    "library": f"library:{STORES[OURS]}",
}
DATABASES = ("sqlite", "postgresql")
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
FALLBACKS = re.compile(r'^predictions_total\{.*served_by="fallback".*\} (\S+)$', re.MULTILINE)
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a new, empty database, for as long as the block runs."""
    if kind == "sqlite":
        for old in BUILD.glob("pair.db*"):
            old.unlink()
        yield f"sqlite:///{BUILD / 'pair.db'}"
        return
    name = f"bench_{os.getpid()}"
    python = PROJECT / "service/.venv/bin/python"
    script = [python, BENCHMARKS / "project_scripts/postgres_database.py"]
    run_command(*script, "create", POSTGRES, name)
    try:
        yield urlunsplit(urlsplit(POSTGRES)._replace(path=f"/{name}"))
    finally:
        run_command(*script, "drop", POSTGRES, name)


@contextmanager
def started(way: str, database_url: str) -> Iterator[Running]:
    """The pair with one worker each, on this database; it may not be ready yet."""
    port = free_port()
    settings = {
        "DATABASE_URL": database_url,
        "MODEL_URL": MODEL_URLS[way].format(port=free_port()),
        "MODEL_TOKENS": TOKEN,
        "MODEL_STORE": STORES[OURS],
        "WORKERS": "1",
        "PORT": str(port),
    }
    service = f"{'dev' if way == 'library' else 'service'}/.venv/bin/service"
    run_command(service, "migrate", environment={**os.environ, **settings}, cwd=PROJECT)
    bodies = [json.dumps(row).encode() for row in sample(history())]
    target = Target(f"http://127.0.0.1:{port}/orders", {}, bodies)
    expected = sample(history_predictions())
    with ExitStack() as stack:
        if way != "library":
            stack.enter_context(running(f"pair-{way}-model", [MODEL, "serve"], settings, PROJECT))
        command = [service, "serve"]
        process = stack.enter_context(running(f"pair-{way}-service", command, settings, PROJECT))
        yield Running(process, target, prediction_of, expected)


def prediction_of(order: Any) -> float:
    """The prediction in an order, which has to be the model's."""
    metadata = order["metadata"]
    if metadata["served_by"] != "model":
        raise Failed(f"served by {metadata['served_by']}")
    return float(metadata["expected_wait_seconds"])


def fallbacks(service: Running) -> float:
    """How many orders were answered without the model so far."""
    address, _, port = service.target.url.removesuffix("/orders").rpartition(":")
    url = f"{address}:{int(port) + 100}/metrics"  # the operations port
    with WITHOUT_PROXY.open(url, timeout=10) as response:
        metrics = response.read().decode()
    if "predictions_total{" not in metrics:
        raise Failed("/metrics does not count predictions")
    return sum(map(float, FALLBACKS.findall(metrics)))


def measure_pair(way: str, kind: str, seconds: int) -> dict[str, Any]:
    """One round of the pair: its load, all of it answered by the model."""
    with database(kind) as url, started(way, url) as service:
        wait_until_ready(service)
        check_every_row(service)
        before = fallbacks(service)
        load = measure_load(service.target, seconds)
        if missed := fallbacks(service) - before:
            raise Failed(f"{missed:.0f} orders were answered without the model")
        return {"load": load}
