"""Liveness asks nothing else; readiness asks the database and the model, and says what is wrong."""

import pytest
from conftest import Service
from sqlalchemy.engine import Engine
from support import GONE, listening

from service.predictors import PredictorError


def test_ready_without_a_write(service: Service) -> None:
    response = service.client.get("/readyz")
    assert (response.status_code, response.json) == (
        200,
        {"status": "ok", "checks": {"database": "ok", "model": "ok"}},
    )
    assert service.rows("model_versions") == []


@pytest.mark.parametrize("reason", ["unreachable", "timeout", "unauthorized", "signature"])
def test_not_ready_without_the_model(service: Service, reason: str) -> None:
    service.predictor.error = PredictorError(reason, "what is wrong")  # type: ignore[arg-type]
    response = service.client.get("/readyz")
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert response.json
    assert response.json["checks"] == {"database": "ok", "model": f"{reason}: what is wrong"}
    assert response.json["detail"] == f"model: {reason}: what is wrong"
    service.predictor.error = None
    assert service.client.get("/readyz").status_code == 200


def test_alive_whatever_else_is_wrong(service: Service) -> None:
    service.predictor.error = GONE
    connections: list[object] = []
    with listening(Engine, "do_connect", lambda *each: connections.append(each)):
        response = service.client.get("/livez")
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": {}})
    assert connections == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_predictor_is_opened_at_the_start(service: Service) -> None:
    assert service.predictor.opened
