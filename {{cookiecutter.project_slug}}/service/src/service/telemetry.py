"""Telemetry: structured logs, a request id, metrics."""

import logging.config
import os
import re
import struct
import sys
from time import perf_counter, sleep
from typing import Any
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from structlog.contextvars import bind_contextvars, clear_contextvars

from service.context import RequestContext
from service.settings import Settings

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""A request id of a caller that is taken over, into logs, headers and rows."""

QUIET_ROUTES = {"/livez", "/readyz", "/metrics"}
"""Routes that are polled every few seconds, and so logged at the level debug."""


class Metrics:
    """The metrics; those of several workers (PROMETHEUS_MULTIPROC_DIR) are added up."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Histogram(
            "http_request_seconds",
            "Requests and how long they took",
            ["route", "method", "status"],
            registry=registry,
        )
        self.predictions = Counter(
            "predictions",
            "Predictions by what served them",
            ["served_by", "version"],
            registry=registry,
        )
        self.model_seconds = Histogram(
            "model_seconds", "How long the model took, or was waited for", registry=registry
        )
        self.model_failures = Counter(
            "model_failures",
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

    def exposition(self) -> bytes:
        """All metrics of all workers in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        try:
            return generate_latest(shared)
        except struct.error:  # a worker that is starting has made its file, but not yet filled it
            sleep(0.05)
            return generate_latest(shared)


def install(app: Flask, metrics: Metrics, model_deadline: float) -> None:
    """Give every request an id, a line in the log and a count in the metrics."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        g.context = RequestContext.of(request.environ, g.request_id, model_deadline)
        g.start = perf_counter()
        clear_contextvars()
        bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        seconds = perf_counter() - g.start
        route = request.url_rule.rule if request.url_rule else "unknown"
        method = request.method if request.method in METHODS else "other"
        metrics.requests.labels(route, method, response.status_code).observe(seconds)
        write = log.debug if route in QUIET_ROUTES else log.info
        write(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            duration_ms=round(seconds * 1000, 2),
        )
        response.headers["X-Request-ID"] = g.request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'")
        return response

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        clear_contextvars()  # the lines of gunicorn belong to no request

    @app.route("/metrics")
    def prometheus() -> Response:
        return Response(metrics.exposition(), content_type=metrics.content_type)


METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


def configure_logging(settings: Settings) -> None:
    """Give the lines of structlog and of `logging` one destination and one form."""
    logging.config.dictConfig(logging_config(settings))
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


SHARED: list[Any] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(settings: Settings) -> dict[str, Any]:
    """The configuration of `logging`, for this process and for gunicorn."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    render: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer()]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED[1:],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *render,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"level": settings.log_level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "alembic": {"level": "WARNING"},
            "gunicorn.error": {"propagate": True},
        },
    }
