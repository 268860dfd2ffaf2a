"""Ready while the product can answer: by its model, or by its fallback."""

from threading import Event
from time import monotonic

import pytest
from conftest import Service
from sqlalchemy.engine import Engine
from support import GONE, NEW, listening, wait_until

from service import database, health
from service.predictors import PredictorError


def test_ready_without_a_write(service: Service) -> None:
    response = service.ready()
    assert (response.status_code, response.json) == (200, {"status": "ok", "model": "ok"})
    assert service.checks() == {"database": "ok", "model": "ok"}
    assert service.stored() == len(service.rows("model_versions")) == 0


@pytest.mark.parametrize("reason", ["unreachable", "timeout", "unauthorized"])
def test_degraded_without_the_model(service: Service, reason: str) -> None:
    service.predictor.error = PredictorError(reason, "what is wrong")  # type: ignore[arg-type]
    response = service.ready()
    assert (response.status_code, response.json) == (200, {"status": "ok", "model": "degraded"})
    assert service.checks()["model"] == f"degraded: {reason}: what is wrong"
    service.predictor.error = None
    assert service.ready().json == {"status": "ok", "model": "ok"}


def test_not_ready_with_a_model_of_another_contract(service: Service) -> None:
    service.predictor.error = PredictorError("signature", "what is wrong")
    response = service.ready()
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert service.checks() == {"database": "ok", "model": "signature: what is wrong"}
    assert "what is wrong" not in response.text


def test_not_ready_while_writes_fail(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "FAILED_WRITE_SECONDS", float("inf"))
    service.put_aside("predictions")
    assert service.ready().status_code == 200
    assert service.post(NEW).status_code == 503
    assert service.checks()["database"] == "not writable: a write has just failed"
    service.put_back("predictions")
    service.place()
    assert service.ready().status_code == 200


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_check_that_hangs_is_a_fault_and_delays_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(health, "STALE_SECONDS", 1.0)
    hang, readiness = Event(), service.app.extensions["readiness"]
    readiness.start()
    try:
        wait_until(lambda: service.client.get("/readyz").status_code == 200)
        with listening(Engine, "engine_connect", lambda _: hang.wait()):
            start = monotonic()
            wait_until(lambda: service.client.get("/readyz").status_code == 503)
            assert monotonic() - start < 5
            assert readiness.report().checks["database"] == "no answer"
            hang.set()
        wait_until(lambda: service.client.get("/readyz").status_code == 200)
    finally:
        hang.set()
        readiness.stop()


def test_alive_whatever_else_is_wrong(service: Service) -> None:
    service.predictor.error = GONE
    connections: list[object] = []
    with listening(Engine, "do_connect", lambda *each: connections.append(each)):
        response = service.client.get("/livez")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert connections == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_predictor_is_opened_at_the_start(service: Service) -> None:
    assert service.predictor.opened
