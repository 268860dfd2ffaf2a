"""Telemetry: structured logs, a request id, a trace, and what is measured of each request."""

import json
import logging.config
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from contract.types import INVISIBLE
from service.context import PROBE_PATHS, RequestContext
from service.metrics import Metrics
from service.settings import Settings
from service.tracing import Tracing

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""A request id of a caller that is taken over, into logs, headers and rows."""

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
"""Headers of every answer."""

POLICY = "default-src 'none'; frame-ancestors 'none'"


def install(app: Flask, metrics: Metrics, tracing: Tracing, settings: Settings) -> None:
    """Give every request an id, a trace, a line in the log and a count in the metrics."""
    write_line = _request_line(settings)

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.caller = ""
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        trace = tracing.begin(request.environ)
        g.context = RequestContext.of(request.environ, g.request_id, settings.model_deadline, trace)
        g.start = perf_counter()
        clear_contextvars()
        bind_contextvars(request_id=g.request_id, trace_id=trace.trace_id)

    @app.after_request
    def end(response: Response) -> Response:
        seconds = perf_counter() - g.start
        route = request.url_rule.rule if request.url_rule else "unknown"
        method = request.method if request.method in METHODS else "other"
        metrics.requests.observe(seconds, route, method, str(response.status_code))
        line = {
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "duration_ms": round(seconds * 1000, 2),
        }
        if g.caller:
            line["caller"] = g.caller
        if route in PROBE_PATHS:
            log.debug("request", **line)
        else:
            write_line(line)
        headers = response.headers
        headers["X-Request-ID"] = g.request_id
        for name, value in SAFE.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", POLICY)
        if request.blueprint or response.status_code >= 400:
            headers["Cache-Control"] = "no-store"
        tracing.end(method, route, response.status_code)
        return response

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        clear_contextvars()  # the lines of gunicorn belong to no request


METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


def configure_logging(settings: Settings, *processors: Any) -> None:
    """Give the lines of structlog and of `logging` one destination and one form.

    Args:
        processors: what else is shown the lines of structlog.
    """
    logging.config.dictConfig(logging_config(settings))
    structlog.configure(
        processors=[*SHARED, *processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _as_json(settings: Settings) -> bool:
    return settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )


def _request_line(settings: Settings) -> Callable[[dict[str, Any]], None]:
    """What writes the line of a request.

    As JSON it is written without structlog and `logging`, which would take a twentieth of the
    request's time.
    """
    if not _as_json(settings):
        return lambda line: log.info("request", **line)

    def write(line: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        whole = {
            **line,
            "request_id": g.request_id,
            "trace_id": g.context.trace.trace_id,
            "event": "request",
            "level": "info",
            "logger": __name__,
            "timestamp": now,
        }
        with suppress(OSError):  # a full disk must not fail a request that was stored
            sys.stderr.write(json.dumps(whole) + "\n")

    return write if settings.log_level in ("debug", "info") else lambda line: None


UNSEEN = re.compile(f"[{INVISIBLE}]")


def _code_point(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _escape(_logger: object, _method: str, line: Any) -> Any:
    """Show what would steer the terminal, or hide from the reader."""
    for name, value in line.items():
        if isinstance(value, str):
            lines = value.split("\n") if name == "exception" else [value]
            line[name] = "\n".join(UNSEEN.sub(_code_point, each) for each in lines)
    return line


SHARED: list[Any] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(settings: Settings) -> dict[str, Any]:
    """The configuration of `logging`, for this process and for gunicorn."""
    render: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if _as_json(settings)
        else [
            structlog.processors.format_exc_info,
            _escape,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
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
