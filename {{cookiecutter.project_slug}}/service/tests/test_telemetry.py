"""Logs, the request id, metrics."""

import json
import re
from typing import Any

import pytest
from conftest import Service, settings
from structlog.contextvars import bind_contextvars, get_contextvars
from support import NEW, PATH, FakePredictor

from service.app import create_app
from service.predictors import PredictorError

SLOW = PredictorError("timeout", "too slow")


@pytest.fixture
def logged(service: Service, capfd: pytest.CaptureFixture[str]) -> Any:
    """A function that gives what the service has logged; it has to be restarted in the test."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_request_id_is_taken_over(service: Service, logged: Any) -> None:
    service.restart()
    service.predictor.error = SLOW
    response = service.post(NEW, headers={"X-Request-ID": "abc-1.2:3_4"})
    assert response.headers["X-Request-ID"] == "abc-1.2:3_4"
    assert service.predictor.asked[0][1] == "abc-1.2:3_4"
    fault, request = logged()
    assert (fault["event"], fault["reason"]) == ("prediction failed", "timeout")
    assert (request["event"], request["status"]) == ("request", 201)
    assert (request["method"], request["path"]) == ("POST", PATH)
    for line in (fault, request):
        assert line["request_id"] == "abc-1.2:3_4"
        assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "é", "<script>", "a;b", '"'])
def test_a_strange_request_id_is_replaced(service: Service, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    seen = {service.client.get("/livez", headers=headers).headers["X-Request-ID"] for _ in "12"}
    assert len(seen) == 2
    assert all(len(each) == 32 and each.isalnum() for each in seen)


def test_every_answer_is_safe_to_show(service: Service) -> None:
    for path in ("/livez", "/nowhere", "/docs", "/openapi.json", "/metrics", f"{PATH}/1"):
        response = service.client.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_a_fault_of_the_service_is_logged_with_its_cause(service: Service, logged: Any) -> None:
    service.restart()
    service.predictor.error = RuntimeError("the cause")
    response = service.post(NEW)
    fault, request = logged()
    assert (fault["level"], request["status"]) == ("error", 500)
    assert "RuntimeError: the cause" in fault["exception"]
    assert fault["request_id"] == response.headers["X-Request-ID"]


def test_probes_are_not_logged(service: Service, logged: Any) -> None:
    service.restart()
    for path in ("/livez", "/readyz", "/metrics"):
        service.client.get(path)
    assert logged() == []


def test_a_line_has_nothing_of_the_request_before(service: Service, logged: Any) -> None:
    service.restart()
    bind_contextvars(left="over")
    service.client.get("/nowhere")
    (line,) = logged()
    assert "left" not in line
    assert get_contextvars() == {}


def test_lines_for_people(capfd: pytest.CaptureFixture[str], url: str) -> None:
    app = create_app(settings(database_url=url, log_format="console"), FakePredictor())
    app.test_client().get("/nowhere")
    text = re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().err)
    assert "path=/nowhere" in text


def test_metrics(service: Service) -> None:
    service.post(NEW)
    service.post({"nobody": 1})
    service.predictor.error = SLOW
    service.post(NEW)
    for path in (f"{PATH}/1", f"{PATH}/2", "/a/secret/path"):
        service.client.get(path)
    service.client.open("/livez", method="NONSENSE")
    response = service.client.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "secret" not in response.text

    def requests(method: str, route: str, status: int) -> str:
        labels = f'method="{method}",route="{route}",status="{status}"'
        return "http_request_seconds_count{" + labels + "}"

    assert {
        f"{requests('POST', PATH, 201)} 2.0",
        f"{requests('POST', PATH, 422)} 1.0",
        f"{requests('GET', f'{PATH}/<id:id>', 200)} 2.0",
        f"{requests('GET', 'unknown', 404)} 1.0",
        f"{requests('other', 'unknown', 405)} 1.0",
        'predictions_total{served_by="model",version="3f2a9c"} 1.0',
        'predictions_total{served_by="fallback",version="3f2a9c"} 1.0',
        'model_failures_total{reason="timeout"} 1.0',
        "model_seconds_count 2.0",
    } <= set(response.text.splitlines())
