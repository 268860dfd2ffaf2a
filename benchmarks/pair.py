"""`POST /orders`, on each database: through the pair, and through products written by hand."""

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from load import Target
from paths import BENCHMARKS, BUILD, PROJECT
from processes import Failed, free_port, run_command, running
from project import MODEL, history, history_predictions, sample
from servers import OURS, STORES, TOKEN, Server, prediction_of
from serving import Running, check_every_row, measure_load, wait_until_ready
from serving import started as started_server

MODEL_URLS = {
    "unix": "http+unix://run/bench.sock",
    "http": "http://127.0.0.1:{port}",
    "library": f"library:{STORES[OURS]}",
    "subprocess": "subprocess:",
    "traced": "http+unix://run/bench.sock",
}
TRACED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
"""Of the way `traced`: one trace in a hundred is recorded."""
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
def collector() -> Iterator[str]:
    """The address of a server that takes spans and forgets them, for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def started(way: str, database_url: str, workers: int, ops_port: int) -> Iterator[Running]:
    """The pair on this database; it may not be ready yet.

    Args:
        way: to the model, whose server has one worker.
        workers: of the service.
        ops_port: where the service tells its metrics.
    """
    port = free_port()
    settings = {
        "DATABASE_URL": database_url,
        "MODEL_URL": MODEL_URLS[way].format(port=free_port()),
        "MODEL_TOKENS": TOKEN,
        "MODEL_STORE": STORES[OURS],
        "WORKERS": str(workers),
        "PORT": str(port),
        "OPS_PORT": str(ops_port),
    }
    service = f"{'dev' if way == 'library' else 'service'}/.venv/bin/service"
    run_command(service, "migrate", environment={**os.environ, **settings}, cwd=PROJECT)
    bodies = [json.dumps(row).encode() for row in sample(history())]
    target = Target(f"http://127.0.0.1:{port}/orders", {}, bodies)
    expected = sample(history_predictions())
    with ExitStack() as stack:
        if way == "traced":
            settings |= TRACED
            settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = stack.enter_context(collector())
        if way not in ("library", "subprocess"):
            stack.enter_context(running(f"pair-{way}-model", [MODEL, "serve"], settings, PROJECT))
        command = [service, "serve"]
        process = stack.enter_context(running(f"pair-{way}-service", command, settings, PROJECT))
        yield Running(process, target, prediction_of, expected)


def fallbacks(ops_port: int) -> float:
    """How many orders the service answered without the model so far."""
    with WITHOUT_PROXY.open(f"http://127.0.0.1:{ops_port}/metrics", timeout=10) as response:
        metrics = response.read().decode()
    if "predictions_total{" not in metrics:
        raise Failed("/metrics does not count predictions")
    return sum(map(float, FALLBACKS.findall(metrics)))


def measure_pair(way: str, kind: str, seconds: int, workers: int = 1) -> dict[str, Any]:
    """One round of the pair: its load, all of it answered by the model."""
    ops_port = free_port()
    with database(kind) as url, started(way, url, workers, ops_port) as service:
        wait_until_ready(service)
        check_every_row(service)
        before = fallbacks(ops_port)
        load = measure_load(service.target, seconds)
        if missed := fallbacks(ops_port) - before:
            raise Failed(f"{missed:.0f} orders were answered without the model")
        return {"load": load}


def measure_product(server: Server, kind: str, seconds: int) -> dict[str, Any]:
    """One round of a product written by hand."""
    with database(kind) as url, started_server(server, {"DATABASE_URL": url}) as product:
        wait_until_ready(product)
        check_every_row(product)
        return {"load": measure_load(product.target, seconds)}
