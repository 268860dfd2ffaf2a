"""The operations port: what those who run the service see, and callers do not."""

import pytest
from conftest import Service, settings
from support import EXPLANATION, GONE, NEW, VERSION

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
    assert (response.status_code, response.data) == (200, service.predictor.told["metrics"])
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    del service.predictor.told["metrics"]  # it runs in this process
    assert operators.get("/metrics/model").status_code == 404
    for error, status in ((GONE, 502), (PredictorError("timeout", "no answer"), 504)):
        service.predictor.error = error
        response = operators.get("/metrics/model")
        assert response.status_code == status
        assert response.content_type == "application/problem+json"
        assert str(error) in response.text
    assert service.client.get("/metrics/model").status_code == 404


def test_a_prediction_is_shown_step_by_step(service: Service) -> None:
    """The row, what was served, what the model makes of it now; over each database."""
    operators = service.app.extensions["ops"].test_client()
    placed = service.place()
    path = f"/explain/{placed['id']}"
    page = operators.get(path)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    found = operators.get(path, headers={"Accept": "application/json"}).json
    assert found is not None
    (stored,) = service.rows("predictions")
    assert found["prediction"]["model_version"] == VERSION
    assert found["row"]["id"] == placed["id"]
    assert [each["value"] for each in found["features"]] == [*stored["features"].values()]
    assert {each["contribution"] for each in found["features"]} == {1}
    assert found["explanation"]["version"] == VERSION
    assert "Another version answers now" not in page.text
    assert service.client.get(path).status_code == 404


@ON_SQLITE
def test_what_the_model_cannot_explain(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    path = f"/explain/{service.place()['id']}"
    for answer in (b"{}", None):
        service.predictor.told = {"explain": answer} if answer else {}
        page = operators.get(path)
        assert page.status_code == 200
        assert "is not known" in page.text
    service.predictor.error = GONE
    page = operators.get(path)
    assert page.status_code == 200
    assert str(GONE) in page.text
    assert VERSION in page.text
    assert operators.get("/explain/999").status_code == 404
    assert operators.get("/explain/0").status_code == 404
    service.put_aside("predictions")
    response = operators.get(path)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")


@ON_SQLITE
def test_another_version_answers_now(service: Service) -> None:
    operators = service.app.extensions["ops"].test_client()
    path = f"/explain/{service.place()['id']}"
    other = EXPLANATION.model_copy(update={"version": "another-one"})
    service.predictor.told["explain"] = other.model_dump_json().encode()
    text = operators.get(path).text
    assert "Another version answers now" in text
    assert "another-one" in text
    assert VERSION in text


@ON_SQLITE
def test_nothing_on_the_page_is_markup(service: Service) -> None:
    hostile = '<script>alert("1")</script>'
    operators = service.app.extensions["ops"].test_client()
    path = f"/explain/{service.place()['id']}"
    part = EXPLANATION.contributions[0].model_copy(update={"typical": hostile})
    changed = EXPLANATION.model_copy(
        update={"of": hostile, "version": hostile, "contributions": [part]}
    )
    service.predictor.told["explain"] = changed.model_dump_json().encode()
    text = operators.get(path).text
    assert text.count("&lt;script&gt;") == 3
    assert "<script" not in text


def test_it_stands_beside_the_public_port() -> None:
    for port, ops_port in ((8000, 8100), (65500, 65400)):
        assert settings(port=port).ops_address == f"127.0.0.1:{ops_port}"
    assert settings(ops_host="::1", ops_port=9).ops_address == "[::1]:9"
