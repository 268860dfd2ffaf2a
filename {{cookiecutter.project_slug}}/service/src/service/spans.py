"""Spans by OpenTelemetry: of a request, of its question to the model, and of the model's batch.

The model server may have no network, and is called by this service alone. So it needs no
OpenTelemetry: it answers how long its batch took, and the span of that is recorded here.
"""

from collections.abc import Mapping
from dataclasses import replace
from threading import Thread
from time import monotonic, time_ns
from typing import Any

from flask import g
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
    set_tracer_provider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contract import Features
from contract.tracing import Trace
from service.context import ARRIVAL, PROBE_PATHS, RequestContext
from service.predictors import Answer, Predictor, PredictorError, SelfTest
from service.predictors.port import Batch, Topic
from service.tracing import Tracing

NAME = "{{ cookiecutter.project_slug }}"
"""The service's in traces, unless OTEL_SERVICE_NAME says otherwise."""

CLOSE_SECONDS = 2.0
"""How long the end of a process may wait for a collector."""

W3C = TraceContextTextMapPropagator()


class Spans(Tracing):
    """Records what is sampled, and exports it in a thread: make it in the process that serves.

    The span of a request is the current one while it is answered, so that those of your own
    (`trace.get_tracer(__name__).start_as_current_span("…")`) are part of its trace.
    """

    def __init__(self) -> None:
        processor = BatchSpanProcessor(OTLPSpanExporter())
        resource = Resource({SERVICE_NAME: NAME}).merge(OTELResourceDetector().detect())
        model = resource.merge(Resource({SERVICE_NAME: f"{NAME}-model"}))
        self._provider, of_model = (
            TracerProvider(resource=each, shutdown_on_exit=False) for each in (resource, model)
        )
        for each in (self._provider, of_model):
            each.add_span_processor(processor)
        set_tracer_provider(self._provider)
        self._service, self._model = (
            each.get_tracer(__name__) for each in (self._provider, of_model)
        )

    def begin(self, environ: Mapping[str, Any]) -> Trace:
        """See `Tracing.begin`; the span begins when the request arrived, before any waiting."""
        g.span = None
        if environ["PATH_INFO"] in PROBE_PATHS:
            return super().begin(environ)
        names = ("traceparent", "tracestate")
        headers = {name: environ.get(f"HTTP_{name.upper()}", "") for name in names}
        parent = W3C.extract(headers, Context())
        now = monotonic()
        g.span = self._service.start_span(
            environ["REQUEST_METHOD"],
            parent,
            SpanKind.SERVER,
            start_time=time_ns() - int((now - environ.get(ARRIVAL, now)) * 1e9),
        )
        g.span_token = attach(set_span_in_context(g.span, parent))
        return trace_of(g.span)

    def end(self, method: str, route: str, status: int) -> None:
        """See `Tracing.end`."""
        span: Span | None = g.span
        if span is None:
            return
        if span.is_recording():
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                    "request_id": g.request_id,
                }
            )
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        span.end()
        detach(g.span_token)

    def around(self, predictor: Predictor) -> Predictor:
        """See `Tracing.around`."""
        return Traced(predictor, self._service, self._model)

    def close(self) -> None:
        """See `Tracing.close`; a collector that does not answer is not waited for."""
        thread = Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


class Traced:
    """A predictor whose calls are recorded.

    Args:
        predictor: whom to ask.
        service: the tracer of the calls.
        model: that of what the model does.
    """

    def __init__(self, predictor: Predictor, service: Tracer, model: Tracer) -> None:
        self._predictor, self._service, self._model = predictor, service, model

    def open(self) -> None:
        """See `Predictor.open`."""
        self._predictor.open()

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        self._predictor.check(deadline)

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self._predictor.self_test(deadline)

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`."""
        return self._predictor.query(topic, deadline, row)

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        if not get_current_span().is_recording():
            return self._predictor.predict(features, context)
        start = time_ns()
        with self._service.start_as_current_span(
            "predict", kind=SpanKind.CLIENT, start_time=start, record_exception=False
        ) as span:
            try:
                answer = self._predictor.predict(features, replace(context, trace=trace_of(span)))
            except PredictorError as error:
                span.set_attribute("error.type", error.reason)
                raise
            if answer.batch:
                self._record(answer.batch, start)
        return answer

    def _record(self, batch: Batch, start: int) -> None:
        """Record the batch of the call that began at this time.

        The clock of another host may be wrong, so only its durations count; the rest of the call is
        taken to be the way there and the way back, in equal parts.
        """
        queued, computed = (int(each * 1e6) for each in (batch.queue_ms, batch.compute_ms))
        on_the_way = max(0, time_ns() - start - queued - computed)
        begin = start + on_the_way // 2 + queued
        span = self._model.start_span(
            "batch",
            kind=SpanKind.SERVER,
            attributes={"batch.rows": batch.rows, "batch.queue_ms": batch.queue_ms},
            start_time=begin,
        )
        span.end(begin + computed)


def trace_of(span: Span) -> Trace:
    """Where in its trace a span stands."""
    found = span.get_span_context()
    return Trace(
        format_trace_id(found.trace_id),
        format_span_id(found.span_id),
        found.trace_flags,
        found.trace_state.to_header(),
    )
