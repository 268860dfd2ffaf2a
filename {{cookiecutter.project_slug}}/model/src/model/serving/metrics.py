"""What the server measures, named by https://prometheus.io/docs/practices/naming/."""

import os
import platform
import struct
from collections import Counter as Answers
from collections import deque
from collections.abc import Callable, Iterator
from importlib.metadata import version
from socket import gethostname
from time import perf_counter, sleep
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from contract import signature
from model.artifacts.manifest import Manifest
from model.columns import Columns, row_count
from model.engines.predictions import Predictions
from model.serving.admission import Reason
from model.serving.processes import Processes

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which processes share their metrics."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

Predict = Callable[[Columns], Predictions]


def share(folder: str) -> None:
    """Have all metrics that are made from now on add up those of all workers.

    Args:
        folder: an empty one, for their files.
    """
    os.environ[FOLDER] = folder  # for which the library looks only as it is imported
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]


def forget(pid: int) -> None:
    """Drop what a worker that has ended cannot be any more; its counts stay."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def reload_failing() -> Gauge:
    """The one metric of the master, who alone knows that a version cannot be served."""
    return Gauge(
        "model_reload_failing",
        "1 while the current version cannot be served, and one before is",
        multiprocess_mode="livemax",
        registry=CollectorRegistry(),
    )


class Metrics(Collector):
    """The metrics of a worker, which knows those of the others.

    Args:
        manifest: of the version that it serves.
        revision: the commit that this was built from.

    Attributes:
        waiting: how many requests wait behind those that are predicted, by the place.
    """

    def __init__(self, manifest: Manifest, revision: str = "unknown") -> None:
        registry = self._registry = CollectorRegistry()
        self._server = f"{gethostname()}-{os.getppid()}"
        self._answers = Answers[tuple[str, int]]()
        self._batches = deque[tuple[float, int]]()
        self._requests = Counter(
            "http_requests_total", "Requests answered", ["endpoint", "status"], registry=registry
        )
        self._refused = Counter(
            "http_requests_refused_total",
            "Requests, or connections, that were refused",
            ["reason"],
            registry=registry,
        )
        self.waiting = Gauge(
            "inference_queue_requests",
            "Requests that wait behind those that are predicted",
            ["place"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._rows = Counter("inference_rows_total", "Rows predicted", registry=registry)
        self._seconds = Histogram(
            "inference_duration_seconds",
            "How long the model took for a batch of rows",
            buckets=SECONDS,
            registry=registry,
        )
        served = Gauge(
            "model_version_info",
            "The version that is served",
            ["version"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        trained = Gauge(
            "model_trained_timestamp_seconds",
            "When the version that is served was trained",
            multiprocess_mode="livemax",
            registry=registry,
        )
        served.labels(manifest.version).set(1)
        trained.set(manifest.created_at.timestamp())
        self._build = {
            "version": version("model"),
            "revision": revision,
            "signature": signature(),
            "python": platform.python_version(),
        }
        for reason in (*get_args(Reason), "connections", "stranger"):  # so that each begins with 0
            self._refused.labels(reason)

    def answered(self, endpoint: str, status: int) -> None:
        """Count a request, on the event loop."""
        self._answers[endpoint, status] += 1

    def flush(self) -> None:
        """Add what was measured since the last time; at once it would cost each request 3 %."""
        for labels, count in self._answers.items():
            self._requests.labels(*labels).inc(count)
        self._answers.clear()
        rows = 0
        while self._batches:  # to which the thread may add
            seconds, size = self._batches.popleft()
            self._seconds.observe(seconds)
            rows += size
        self._rows.inc(rows)

    def refused(self, reason: str) -> None:
        """Count a request, or a connection, that was refused."""
        self._refused.labels(reason).inc()

    def observed(self, predict: Predict) -> Predict:
        """The same function, each call of which is measured."""

        def observed(columns: Columns) -> Predictions:
            start = perf_counter()
            try:
                return predict(columns)
            finally:
                self._batches.append((perf_counter() - start, row_count(columns)))

        return observed

    def exposition(self) -> bytes:
        """All metrics of all workers, in Prometheus' text format."""
        try:
            return generate_latest(self)
        except struct.error:  # a worker that is starting has made its file, but not yet filled it
            sleep(0.05)
            return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics of all workers, labelled with their master.

        Two servers may answer at one address in turn. Without the label each turn would look like a
        counter that was reset.
        """
        for metric in self._collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, "server": self._server})
                for sample in metric.samples
            ]
            yield metric

    def _collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("build", "What the model server was built from", value=self._build)
        yield from Processes().collect()
        shared = FOLDER in os.environ
        source = MultiProcessCollector(None) if shared else self._registry  # type: ignore[no-untyped-call]
        yield from source.collect()
