"""What is measured, and by which names."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Service
from support import NEW, OUTCOME, PATH, SENT

from contract import Features, Inputs, LookedUp, assemble
from service import features, health
from service.predictors import PredictorError

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def scrape(service: Service, accept: str = "") -> set[str]:
    """The lines of the answer to Prometheus."""
    operators = service.app.extensions["ops"].test_client()
    response = operators.get("/metrics", headers={"Accept": accept})
    assert response.content_type.startswith(accept.partition(";")[0] or "text/plain; version=0.0.4")
    return set(response.text.splitlines())


def requests(method: str, route: str, status: int) -> str:
    labels = f'method="{method}",route="{route}",status="{status}"'
    return "http_request_duration_seconds_count{" + labels + "}"


def test_requests_and_predictions_are_counted(service: Service) -> None:
    service.post(NEW)
    service.post({"nobody": 1})
    service.predictor.error = PredictorError("timeout", "too slow")
    service.post(NEW)
    for path in (f"{PATH}/1", f"{PATH}/2", "/a/secret/path"):
        service.client.get(path)
    service.client.open("/livez", method="NONSENSE")
    lines = scrape(service)
    assert not any("secret" in line for line in lines)
    assert {
        f"{requests('POST', PATH, 201)} 2.0",
        f"{requests('POST', PATH, 422)} 1.0",
        f"{requests('GET', f'{PATH}/<id:id>', 200)} 2.0",
        f"{requests('GET', 'unknown', 404)} 1.0",
        f"{requests('other', 'unknown', 405)} 1.0",
        'predictions_total{served_by="model",version="3f2a9c"} 1.0',
        'predictions_total{served_by="fallback",version="3f2a9c"} 1.0',
        'model_failures_total{reason="timeout"} 1.0',
        'model_failures_total{reason="busy"} 0.0',
        'http_requests_shed_total{reason="overload"} 0.0',
        "model_request_duration_seconds_count 2.0",
    } <= lines


def test_features_that_are_derived_otherwise_than_they_were_served_are_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = SENT[0]
    others = {"float": 7.25, "int": 7, "bool": False, "category": "else"}
    changed = {**NEW, column.name: others.get(column.kind, "2031-05-06T07:08:09Z")}

    def record(number: int) -> set[str]:
        """Record an outcome; what the metrics tell of skew then."""
        assert service.post(OUTCOME, f"{PATH}/{number}/outcome").status_code == 200
        return {line for line in scrape(service) if re.match("feature_skew.*_total", line)}

    def other(inputs: Inputs, looked_up: LookedUp) -> Features:
        return assemble(Inputs.model_validate(changed), looked_up)

    def failing(*_: Any) -> None:
        raise ZeroDivisionError("of the team's own")

    for _ in range(4):
        service.place()
    assert "feature_skew_checked_total 1.0" in record(1)
    # As if an input were a derived feature, and then a release had another `derive`.
    planted = SimpleNamespace(model_fields={column.name: None})
    monkeypatch.setattr(features, "Derived", planted)
    assert not any(column.name in line for line in record(2))
    monkeypatch.setattr(features, "assemble", other)
    skewed = 'feature_skew_total{feature="' + column.name + '"} 1.0'
    assert record(3) >= {"feature_skew_checked_total 3.0", skewed}
    monkeypatch.setattr(features, "assemble", failing)
    assert record(4) >= {"feature_skew_checked_total 3.0", skewed}


def test_they_tell_what_was_built_and_which_version_answers(service: Service) -> None:
    service.restart(revision="0123abc")
    service.post(NEW)
    service.predictor.answer = replace(service.predictor.answer, version="later")
    service.post(NEW)
    lines = scrape(service)
    assert [line for line in lines if line.startswith("model_version_info")] == [
        'model_version_info{version="later"} 1.0'
    ]
    (build,) = (line for line in lines if line.startswith("build_info{"))
    assert 'revision="0123abc"' in build


def test_they_tell_whether_it_is_ready_though_nobody_asks(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, readiness = (service.app.extensions[name] for name in ("metrics", "readiness"))

    def told() -> list[str]:
        """As another worker would that is scraped, which computes nothing for this one."""
        lines = metrics.exposition()[0].decode().splitlines()
        return [line for line in lines if line.startswith("service_ready")]

    assert told() == ["service_ready 0.0"]  # nothing has been checked yet
    for reason, ready in (("unreachable", 1), ("signature", 0), ("timeout", 1)):
        service.predictor.error = PredictorError(reason, "what is wrong")  # type: ignore[arg-type]
        readiness.check_now()
        assert told() == [f"service_ready {ready}.0"]
    service.put_aside("alembic_version")
    readiness.check_now()
    assert told() == ["service_ready 0.0"]
    service.put_back("alembic_version")
    readiness.check_now()
    assert "service_ready 1.0" in scrape(service)
    monkeypatch.setattr(health, "STALE_SECONDS", 0)  # as if every check hung
    assert "service_ready 0.0" in scrape(service)


def test_a_bucket_has_the_latest_sampled_trace(service: Service) -> None:
    for trace, flags in ((TRACE, "00"), ("0" * 32, "01"), (TRACE[::-1], "01"), (TRACE, "01")):
        service.post(NEW, headers={"traceparent": f"00-{trace}-{SPAN}-{flags}"})
        if flags == "00":
            assert not any(trace in line for line in scrape(service, OPENMETRICS))
    traced = [line for line in scrape(service, OPENMETRICS) if f'trace_id="{TRACE}"' in line]
    for name in ("http_request_duration_seconds", "model_request_duration_seconds"):
        assert [line for line in traced if line.startswith(f"{name}_bucket")]
    assert not any(TRACE in line for line in scrape(service))
