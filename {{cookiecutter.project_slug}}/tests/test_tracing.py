"""One trace from the public request to the model's batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from conftest import PLURAL, Pair, row
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "b7ad6b7169203331"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Where it listens, and what it has received: a service and its span, each time."""
    received: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    received.extend((about["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_one_trace_from_the_public_request_to_the_batch(store: Path, tmp_path: Path) -> None:
    pair = Pair(tmp_path, store, f"sqlite:///{tmp_path / 'test.db'}")
    with collector() as (url, received):
        pair.service.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        with pair.running():  # which exports what is left when it stops
            for trace, flags in ((OTHER, "00"), (TRACE, "01")):
                headers = {"traceparent": f"00-{trace}-{CALLER}-{flags}"}
                answer = pair.client.post(f"/{PLURAL}", json=row(), headers=headers)
                assert answer.json()["metadata"]["served_by"] == "model"
    for side in (pair.service, pair.model):
        for trace in (TRACE, OTHER):
            side.has_logged("trace_id", trace)

    assert len(received) == 3  # one trace was not sampled, and probes have no spans
    names = (f"POST /{PLURAL}", "predict", "batch")
    found = {span.name: (service, span) for service, span in received}
    services, (request, question, batch) = zip(*map(found.__getitem__, names), strict=True)
    assert {span.trace_id.hex() for span in (request, question, batch)} == {TRACE}
    assert request.parent_span_id.hex() == CALLER
    assert question.parent_span_id == request.span_id
    assert batch.parent_span_id == question.span_id
    assert services == (services[0], services[0], f"{services[0]}-model")
    for outer, inner in ((request, question), (question, batch)):
        assert outer.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.end_time_unix_nano <= outer.end_time_unix_nano
    (rows,) = [each.value.int_value for each in batch.attributes if each.key == "batch.rows"]
    assert rows == 1
