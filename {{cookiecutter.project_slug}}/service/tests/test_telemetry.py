"""Logs, the request id, the trace."""

import json
import sys
from io import StringIO
from typing import Any

import pytest
from conftest import Service
from support import NEW, PATH

from service.predictors import PredictorError

TRACE = "0af7651916cd43dd8448eb211c80319c"
SLOW = PredictorError("timeout", "too slow")


@pytest.fixture
def logged(service: Service, capfd: pytest.CaptureFixture[str]) -> Any:
    """A function that gives what the service has logged; it has to be restarted in the test."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_request_id_and_a_trace_are_taken_over(service: Service, logged: Any) -> None:
    service.restart()
    service.predictor.error = SLOW
    trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=1"}
    response = service.post(NEW, headers={"X-Request-ID": "abc-1.2:3_4", **trace})
    assert response.headers["X-Request-ID"] == "abc-1.2:3_4"
    ((_, context),) = service.predictor.asked
    assert context.request_id == "abc-1.2:3_4"
    assert context.trace.headers() == trace
    fault, request = logged()
    assert (fault["event"], fault["reason"]) == ("prediction failed", "timeout")
    assert (request["event"], request["status"]) == ("request", 201)
    assert (request["method"], request["path"]) == ("POST", PATH)
    for line in (fault, request):
        assert line["request_id"] == "abc-1.2:3_4"
        assert line["trace_id"] == TRACE
        assert line["timestamp"].endswith("Z")


def test_every_answer_is_safe_to_show(service: Service) -> None:
    for path in ("/livez", "/nowhere", "/docs", "/openapi.json", f"{PATH}/1"):
        response = service.client.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        private = path not in ("/docs", "/openapi.json")
        assert (response.headers.get("Cache-Control") == "no-store") == private


def test_a_fault_of_the_service_is_logged_with_its_cause(service: Service, logged: Any) -> None:
    service.restart()
    service.predictor.error = RuntimeError("the cause")
    response = service.post(NEW)
    fault, request = logged()
    assert (fault["level"], request["status"]) == ("error", 500)
    assert "RuntimeError: the cause" in fault["exception"]
    assert fault["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_log_that_cannot_be_written_fails_no_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(StringIO):
        def write(self, _: str) -> int:
            raise OSError("no space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    service.restart()
    service.place()


def test_probes_are_not_logged(service: Service, logged: Any) -> None:
    service.restart()
    for path in ("/livez", "/readyz"):
        service.client.get(path)
    assert logged() == []
