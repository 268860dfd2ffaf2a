"""Traces are passed on always, and recorded only where that is configured and installed."""

import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from service.app import tracing_of
from service.tracing import ENDPOINTS, Tracing, is_configured


@pytest.mark.parametrize("name", ENDPOINTS)
def test_spans_are_recorded_where_an_endpoint_is_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (*ENDPOINTS, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(each, raising=False)
    assert not is_configured()
    monkeypatch.setenv(name, "")
    assert not is_configured()
    monkeypatch.setenv(name, "http://127.0.0.1:4318")
    assert is_configured()
    with monkeypatch.context() as patch:
        patch.setenv("OTEL_SDK_DISABLED", "true")
        assert not is_configured()
    for exporter, expected in (("none", False), ("otlp", True)):
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
        assert is_configured() is expected


def test_without_the_extra_the_service_works_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "service.spans", raising=False)
    with capture_logs() as lines:
        assert type(tracing_of()) is Tracing
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "otel" in line["fault"]


@pytest.mark.slow
def test_what_is_not_configured_is_not_even_imported() -> None:
    code = "import sys, service.app; service.app.create_app(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "service.reports" in modules
    assert not {"opentelemetry", "sentry_sdk", "service.spans"} & {*modules}
