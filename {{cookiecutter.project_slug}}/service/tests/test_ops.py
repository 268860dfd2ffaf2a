"""The operations port: what those who run the service see, and callers do not."""

import pytest
from conftest import Service, settings
from support import GONE, NEW

from service.predictors import PredictorError

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@ON_SQLITE
def test_metrics_and_details_are_for_operators_alone(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    service.predictor.error = GONE
    assert service.post(NEW).status_code == 201
    assert "predictions_total" in operators.get("/metrics").text
    assert service.client.get("/metrics").status_code == 404
    service.app.extensions["readiness"].check_now()
    assert str(GONE) in operators.get("/readyz").text
    assert str(GONE) not in service.client.get("/readyz").text


@ON_SQLITE
def test_readiness_says_what_each_check_found(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    assert operators.get("/readyz").status_code == 503  # nothing has been checked yet
    service.app.extensions["readiness"].check_now()
    response = operators.get("/readyz")
    checks = {"database": "ok", "model": "ok"}
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": checks})
    service.put_aside("alembic_version")
    service.app.extensions["readiness"].check_now()
    assert operators.get("/readyz").status_code == 503
    assert "not migrated" in operators.get("/readyz").text


@ON_SQLITE
def test_the_model_servers_metrics_are_passed_on(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    response = operators.get("/metrics/model")
    assert (response.status_code, response.data) == (200, service.predictor.measured)
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    service.predictor.measured = None  # it runs in this process
    assert operators.get("/metrics/model").status_code == 404
    for error, status in ((GONE, 502), (PredictorError("timeout", "no answer"), 504)):
        service.predictor.error = error
        response = operators.get("/metrics/model")
        assert response.status_code == status
        assert response.content_type == "application/problem+json"
        assert str(error) in response.text
    assert service.client.get("/metrics/model").status_code == 404


def test_it_stands_beside_the_public_port() -> None:
    for port, ops_port in ((8000, 8100), (65500, 65400)):
        assert settings(port=port).ops_address == f"127.0.0.1:{ops_port}"
    assert settings(ops_host="::1", ops_port=9).ops_address == "[::1]:9"
