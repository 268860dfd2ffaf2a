"""The metrics, named by https://prometheus.io/docs/practices/naming/."""

import os
import platform
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from importlib.metadata import version
from threading import Lock
from time import sleep, time
from typing import get_args

from flask import g, has_request_context
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import INF, floatToGoString

from contract import Derived, signature
from service.context import RequestContext
from service.predictors.port import Reason
from service.processes import Processes

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, INF)
"""Seconds; a prediction takes about one thousandth."""

BOUNDS = [*map(floatToGoString, BUCKETS)]
"""The same, as a bucket's label has them."""


def trace_id() -> str | None:
    """The trace that the request belongs to; None if nobody records it."""
    context: RequestContext | None = g.get("context") if has_request_context() else None
    return context.trace.trace_id if context and context.trace.is_sampled else None


class Metrics(Collector):
    """The metrics; those of several workers (PROMETHEUS_MULTIPROC_DIR) are added up.

    Args:
        revision: the commit that this was built from.
    """

    def __init__(self, revision: str = "unknown") -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Durations(
            "http_request_duration_seconds",
            "How long requests took",
            ["route", "method", "status"],
            registry,
        )
        self.shed = Counter(
            "http_requests_shed_total",
            "Requests, or connections, that were turned away",
            ["reason"],
            registry=registry,
        )
        self.predictions = Counter(
            "predictions_total",
            "Predictions by what served them",
            ["served_by", "version"],
            registry=registry,
        )
        self.shadows = Counter(
            "shadow_predictions_total",
            "What became of the requests that MODEL_SHADOW_URL was to predict for",
            ["result"],
            registry=registry,
        )
        self.skew = Counter(
            "feature_skew_total",
            "Derived features of rows with an outcome that are another value now than when served",
            ["feature"],
            registry=registry,
        )
        self.skew_checked = Counter(
            "feature_skew_checked_total",
            "Rows with an outcome whose features were derived anew, to tell skew",
            registry=registry,
        )
        self._drifted = Gauge(
            "feature_drifted",
            "Whether a feature differed from training in the last week, by more than noise",
            ["feature"],
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self._error = Gauge(
            "prediction_error",
            "Error of the current version: at training, and with its interval in the last week",
            ["of"],
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.model_requests = Durations(
            "model_request_duration_seconds",
            "How long the model took, or was waited for",
            [],
            registry,
        )
        self.model_failures = Counter(
            "model_failures_total",
            "Predictions that the model failed to make",
            ["reason"],
            registry=registry,
        )
        self.breaker_state = Gauge(
            "model_breaker_state",
            "Whether the model is asked: 0 yes, 1 by one call to see if it works again, 2 no;"
            " the worst of the processes",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.ready = Gauge(
            "service_ready",
            "Whether requests are answered, if need be by the fallback; the least of the processes",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._versions = Gauge(
            "model_version_info",
            "The versions that answered last, one for each process",
            ["version"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._version: str | None = None
        self._changing = Lock()
        self._build = {
            "version": version("service"),
            "revision": revision,
            "signature": signature(),
            "python": platform.python_version(),
        }
        for reason in ("connections", "memory", "overload"):  # so that each begins with 0
            self.shed.labels(reason)
        for reason in get_args(Reason):
            self.model_failures.labels(reason)
        for result in ("stored", "failed", "dropped"):
            self.shadows.labels(result)
        for name in Derived.model_fields:
            self.skew.labels(name)

    @cached_property
    def canary_state(self) -> Gauge:
        """Made only where there is a canary: one that is not set would be 0."""
        return Gauge(
            "model_canary_state",
            "Whether the canary is asked: 1 yes, 0 it was dropped; the least of the processes",
            multiprocess_mode="livemin",
            registry=self._registry,
        )

    def found(self, drifted: Mapping[str, bool], errors: Mapping[str, float]) -> None:
        """Tell what the report found; of what it does not know, nothing new is told."""
        for name, value in drifted.items():
            self._drifted.labels(name).set(value)
        for name, error in errors.items():
            self._error.labels(name).set(error)

    def answered(self, version: str) -> None:
        """Note which version of the model has answered."""
        if version == self._version:
            return
        with self._changing:
            if self._version is not None:
                self._versions.labels(self._version).set(0)
            self._versions.labels(version).set(1)
            self._version = version

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics of all workers, and the content type: Prometheus' text, or OpenMetrics.

        Args:
            accept: the header; exemplars are in OpenMetrics alone.
        """
        encode, content_type = choose_encoder(accept)
        try:
            return encode(self), content_type
        except struct.error:  # a worker that is starting has made its file, but not yet filled it
            sleep(0.05)
            return encode(self), content_type

    def collect(self) -> Iterator[Metric]:
        """All metrics, with the latest traces of this process as exemplars."""
        yield InfoMetricFamily("build", "What the service was built from", value=self._build)
        yield from Processes().collect()
        shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        source = MultiProcessCollector(None) if shared else self._registry  # type: ignore[no-untyped-call]
        durations = {each.name: each for each in (self.requests, self.model_requests)}
        for metric in source.collect():
            if each := durations.get(metric.name):
                metric.samples = list(each.with_exemplars(metric.samples))
            elif metric.name == "model_version_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


class Durations:
    """A histogram of seconds; the client library keeps no exemplars of several processes."""

    def __init__(
        self, name: str, documentation: str, labels: list[str], registry: CollectorRegistry
    ) -> None:
        self.name = name
        self._labels = labels
        self._histogram = Histogram(name, documentation, labels, buckets=BUCKETS, registry=registry)
        self._of = lru_cache(1024)(self._histogram.labels)
        self._exemplars: dict[frozenset[tuple[str, str]], Exemplar] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Count a duration, with the values of its labels."""
        (self._of(*labels) if labels else self._histogram).observe(seconds)
        if trace := trace_id():
            bound = BOUNDS[bisect_left(BUCKETS, seconds)]
            bucket = frozenset({*zip(self._labels, labels, strict=True), ("le", bound)})
            self._exemplars[bucket] = Exemplar({"trace_id": trace}, seconds, time())

    def with_exemplars(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples, those of buckets with their latest traces."""
        for sample in samples:
            yield sample._replace(exemplar=self._exemplars.get(frozenset(sample.labels.items())))
