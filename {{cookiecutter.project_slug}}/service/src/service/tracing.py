"""Which trace a request belongs to: its caller's, or a new one."""

from collections.abc import Mapping
from os import environ as variables
from typing import Any

from contract.tracing import Trace
from service.predictors import Predictor

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_configured() -> bool:
    """Whether spans are to be exported, by OpenTelemetry's own variables."""
    off = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    off = off or variables.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not off and any(map(variables.get, ENDPOINTS))


class Tracing:
    """Passes each caller's trace on as it came, and records nothing; `Spans` does."""

    def begin(self, environ: Mapping[str, Any]) -> Trace:
        """The trace of a request that has just begun.

        Args:
            environ: the WSGI environment.
        """
        return Trace.of(environ.get("HTTP_TRACEPARENT", ""), environ.get("HTTP_TRACESTATE", ""))

    def end(self, method: str, route: str, status: int) -> None:
        """The request that was begun in this thread has been answered."""

    def around(self, predictor: Predictor) -> Predictor:
        """The predictor, its calls being part of the trace."""
        return predictor

    def close(self) -> None:
        """The process ends."""
