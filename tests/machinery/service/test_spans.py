"""What OpenTelemetry is told of a request, and by which process."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from conftest import Service
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from processes import place_by_both_workers, served
from raw_server import RawServer
from support import EXPECTED, GONE, NEW, PATH, PATIENCE_SECONDS, TOKEN, VERSION, serving

from service import spans
from service.predictors import Answer
from service.predictors.port import Batch

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where the spans of services that are started from now on go, at once; its `provider`."""
    memory: Any = InMemorySpanExporter()
    monkeypatch.setattr(spans, "OTLPSpanExporter", lambda: memory)
    monkeypatch.setattr(spans, "BatchSpanProcessor", SimpleSpanProcessor)
    monkeypatch.setattr(spans, "set_tracer_provider", lambda it: setattr(memory, "provider", it))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    return memory


in_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def found(service: Service, recorded: Any) -> Any:
    """A function that gives the spans of the service, which was restarted, by their names."""
    service.restart()

    def spans_by_name() -> dict[str, ReadableSpan]:
        finished = recorded.get_finished_spans()
        recorded.clear()
        by_name = {each.name: each for each in finished}
        assert len(by_name) == len(finished)
        return by_name

    return spans_by_name


@in_sqlite
def test_a_request_its_question_and_the_batch(service: Service, found: Any) -> None:
    service.predictor.answer = Answer(EXPECTED, VERSION, batch=Batch(3, 0.25, 0.5))
    service.post(NEW, headers={"traceparent": PARENT, "X-Request-ID": "r-1"})
    request, question, batch = map(found().get, (f"POST {PATH}", "predict", "batch"))
    (_, context) = service.predictor.asked[0]
    assert trace.format_span_id(request.parent.span_id) == PARENT[36:52]
    assert context.trace.headers()["traceparent"] == (
        f"{PARENT[:36]}{trace.format_span_id(question.context.span_id)}-01"
    )
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": PATH,
        "http.response.status_code": 201,
        "request_id": "r-1",
    }
    assert batch.end_time - batch.start_time == 500_000
    assert batch.attributes["batch.rows"] == 3
    assert request.resource.attributes["service.name"] != batch.resource.attributes["service.name"]


@in_sqlite
def test_a_batch_that_took_longer_than_the_whole_call(service: Service, found: Any) -> None:
    service.predictor.answer = Answer(EXPECTED, VERSION, batch=Batch(1, 50_000, 50_000))
    assert service.post(NEW, headers={"traceparent": PARENT}).status_code == 201
    assert "batch" in found()


@in_sqlite
def test_what_is_not_sampled_is_passed_on_so(service: Service, found: Any) -> None:
    service.post(NEW, headers={"traceparent": f"{PARENT[:-1]}0", "tracestate": "a=1"})
    sent = service.predictor.asked[0][1].trace.headers()
    assert sent["traceparent"].startswith(PARENT[:36])
    assert (sent["traceparent"][-3:], sent["tracestate"]) == ("-00", "a=1")
    assert not found()


@in_sqlite
@pytest.mark.parametrize(("argument", "sampled"), [("0.0", False), ("1.0", True)])
def test_who_is_sampled_is_decided_by_the_sampler(
    service: Service, recorded: Any, monkeypatch: pytest.MonkeyPatch, argument: str, sampled: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")  # whatever callers say
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    service.restart()
    service.post(NEW, headers={"traceparent": f"{PARENT[:-1]}{int(not sampled)}"})
    service.post(NEW)
    assert [each.trace.is_sampled for _, each in service.predictor.asked] == [sampled] * 2
    assert bool(recorded.get_finished_spans()) is sampled


@in_sqlite
def test_failures_are_marked(service: Service, found: Any) -> None:
    service.predictor.error = GONE
    service.post(NEW, headers={"traceparent": PARENT})
    request, question = map(found().get, (f"POST {PATH}", "predict"))
    assert request.status.is_ok
    assert not question.status.is_ok
    assert question.attributes["error.type"] == "unreachable"
    assert not question.events
    service.predictor.error = RuntimeError("a mistake")
    assert service.post(NEW, headers={"traceparent": PARENT}).status_code == 500
    assert not found()[f"POST {PATH}"].status.is_ok


@in_sqlite
def test_probes_have_no_spans_and_no_span_stays_current(service: Service, found: Any) -> None:
    for path in ("/livez", "/readyz", "/nowhere", f"{PATH}/1"):
        service.client.get(path, headers={"traceparent": PARENT})
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert set(found()) == {"GET unknown", f"GET {PATH}/<id:id>"}


@in_sqlite
def test_spans_of_ones_own_belong_to_the_request(
    service: Service, recorded: Any, found: Any
) -> None:
    tracer = recorded.provider.get_tracer("ours")
    service.predictor.while_predicting = lambda: tracer.start_span("own").end()
    service.post(NEW, headers={"traceparent": PARENT})
    question, own = map(found().get, ("predict", "own"))
    assert own.parent.span_id == question.context.span_id


class Collector(BaseHTTPRequestHandler):
    """Takes spans, but only while it is `open`."""

    open = Event()
    taken: list[Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.open.wait()
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.taken.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def collecting() -> Iterator[tuple[str, list[Any]]]:
    """The address of a collector that is open, and the spans that it takes."""
    taken: list[Any] = []
    Collector.taken = taken
    Collector.open.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            Collector.open.set()
            server.shutdown()
            thread.join()


@in_sqlite
def test_each_process_exports_its_own_spans_and_the_last_ones_when_it_ends(
    url: str, tmp_path: Path
) -> None:
    server = RawServer()
    with collecting() as (endpoint, taken), serving(server=server) as (_, model_url):
        environment = {
            "DATABASE_URL": url,
            "MODEL_URL": model_url,
            "MODEL_TOKENS": TOKEN,
            "MODEL_DEADLINE": "10",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
            "WORKERS": "2",
        }
        with served(tmp_path, **environment) as (process, send):
            placed = place_by_both_workers(send, server)
            assert not taken
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == 0
    requests = [each for each in taken if each.name == f"POST {PATH}"]
    assert len(requests) == placed
    for identity in ("trace_id", "span_id"):
        assert len({getattr(each, identity) for each in requests}) == placed


@in_sqlite
def test_a_collector_that_does_not_answer_delays_no_stop(url: str, tmp_path: Path) -> None:
    with collecting() as (endpoint, taken):
        Collector.open.clear()
        environment = {
            "DATABASE_URL": url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3600",
            "GRACEFUL_TIMEOUT": "600",
        }
        with served(tmp_path, **environment) as (process, send):
            assert send("GET", "/nowhere").status == 404
            process.terminate()
            assert process.wait(20) == 0
        assert not taken
