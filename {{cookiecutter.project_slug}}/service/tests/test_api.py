"""Place, look up, record the outcome: what callers see, and what is stored."""

from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from conftest import Service
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import Pool
from support import ENTITY, EXPECTED, NEW, OTHER, OUTCOME, PATH, SENT, SPARSE, VERSION

from contract import TARGET, Features, examples
from service.predictors import Answer, PredictorError

GONE = PredictorError("unreachable", "nobody there")


def metadata_of(prediction: Any, served_by: str, version: str | None) -> dict[str, Any]:
    """The `metadata` of an answer with this prediction."""
    told = prediction.model_dump() if prediction else {}
    more = {} if TARGET.datatype == "FP64" else {"probabilities": told.get("probabilities")}
    expected = {f"expected_{TARGET.name}": told.get(TARGET.name)}
    return {**expected, **more, "served_by": served_by, "model_version": version}


def test_place(service: Service) -> None:
    response = service.post(NEW)
    assert response.status_code == 201
    assert response.headers["Location"] == f"{PATH}/1"
    assert response.json == {
        "id": 1,
        "type": ENTITY,
        **NEW,
        TARGET.name: None,
        "metadata": metadata_of(EXPECTED, "model", VERSION),
    }
    assert list(response.json) == ["id", "type", *NEW, TARGET.name, "metadata"]
    assert service.client.get(f"{PATH}/1").json == response.json


@pytest.mark.parametrize("body", [NEW, SPARSE], ids=["full", "sparse"])
def test_what_is_stored(service: Service, body: dict[str, Any]) -> None:
    service.post(body, headers={"X-Request-ID": "r-1"})
    (row,) = service.rows(PATH[1:])
    (prediction,) = service.rows("predictions")
    assert {name: row[name] for name in body} == body
    assert row[TARGET.name] is row["recorded_at"] is None
    assert prediction[f"{ENTITY}_id"] == row["id"]
    assert prediction["features"].keys() == Features.model_fields.keys()
    assert {name: prediction["features"][name] for name in body} == body
    assert prediction["expected"] == EXPECTED.model_dump()[TARGET.name]
    assert prediction.get("probabilities") == EXPECTED.model_dump().get("probabilities")
    assert (prediction["served_by"], prediction["model_version"]) == ("model", VERSION)
    assert prediction["request_id"] == "r-1"
    assert 0 <= prediction["latency_ms"] < 10_000
    assert prediction["outcome"] is None
    for moment in (row["created_at"], prediction["created_at"]):
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_the_model_is_told_the_features_and_the_request_id(service: Service) -> None:
    for body in (NEW, SPARSE):
        service.post(body, headers={"X-Request-ID": "r-1"})
        features, request_id = service.predictor.asked.pop()
        assert {name: getattr(features, name) for name in body} == body
        assert request_id == "r-1"
    assert service.predictor.asked == []


def test_each_field_goes_where_it_belongs(service: Service) -> None:
    other = {"FP64": 7.25, "INT64": 7, "BOOL": False, "BYTES": "else"}
    for number, column in enumerate(SENT):
        body = {**NEW, column.name: other[column.datatype]}
        assert body != NEW
        answer = service.post(body).json
        assert answer
        for told in (
            answer,
            service.rows(PATH[1:])[number],
            service.rows("predictions")[number]["features"],
            service.predictor.asked[number][0].model_dump(),
        ):
            assert {name: told[name] for name in body} == body


def test_what_may_be_missing_may_be_left_out(service: Service) -> None:
    response = service.post({name: value for name, value in SPARSE.items() if value is not None})
    assert response.status_code == 201
    assert response.json
    assert {name: response.json[name] for name in SPARSE} == SPARSE


def test_the_examples_of_the_history_can_be_placed(service: Service) -> None:
    for row in examples():
        placed = service.post({column.name: row[column.name] for column in SENT})
        assert placed.status_code == 201
        outcome = {TARGET.name: row[TARGET.name]}
        done = service.post(outcome, placed.headers["Location"] + "/outcome")
        assert done.status_code == 200
        assert done.json is not None
        assert done.json[TARGET.name] == row[TARGET.name]


def test_record(service: Service) -> None:
    placed = service.post(NEW).json
    assert placed
    response = service.post(OUTCOME, f"{PATH}/1/outcome")
    assert (response.status_code, response.json) == (200, {**placed, **OUTCOME})
    assert service.client.get(f"{PATH}/1").json == response.json
    (row,) = service.rows(PATH[1:])
    (prediction,) = service.rows("predictions")
    assert row[TARGET.name] == prediction["outcome"] == OUTCOME[TARGET.name]
    assert row["created_at"] <= row["recorded_at"] <= datetime.now(UTC)


def test_an_outcome_is_recorded_once(service: Service) -> None:
    service.post(NEW)
    service.post(OUTCOME, f"{PATH}/1/outcome")
    before = service.rows(PATH[1:])
    response = service.post(OUTCOME, f"{PATH}/1/outcome")
    assert (response.status_code, response.mimetype) == (409, "application/problem+json")
    assert service.rows(PATH[1:]) == before


def test_of_many_who_record_at_once_one_succeeds(service: Service) -> None:
    service.post(NEW)
    statuses: list[int] = []

    def record() -> None:
        response = service.app.test_client().post(f"{PATH}/1/outcome", json=OUTCOME)
        statuses.append(response.status_code)

    threads = [Thread(target=record) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 5


def test_many_place_at_once(service: Service) -> None:
    def place() -> None:
        for _ in range(5):
            service.app.test_client().post(PATH, json=NEW)

    threads = [Thread(target=place) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.rows(PATH[1:])) == len(service.rows("predictions")) == 30


def test_both_rows_are_written_or_none(service: Service) -> None:
    def fail(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "INSERT INTO predictions" in statement:
            raise OperationalError(statement, {}, Exception("disk full"))

    event.listen(Engine, "before_cursor_execute", fail)
    try:
        response = service.post(NEW)
    finally:
        event.remove(Engine, "before_cursor_execute", fail)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert "disk" not in response.text
    assert service.stored() == 0
    assert service.post(NEW).status_code == 201


def test_no_connection_is_held_while_the_model_thinks(service: Service) -> None:
    held: list[int] = [0]
    seen: list[int] = []

    def out(*_: Any) -> None:
        held[0] += 1

    def back(*_: Any) -> None:
        held[0] -= 1

    class Thinking:
        describe = service.predictor.describe

        def predict(self, features: Features, request_id: str) -> Answer:
            seen.append(held[0])
            return Answer(EXPECTED, VERSION)

    service.predictor.predict = Thinking().predict  # type: ignore[method-assign]
    event.listen(Pool, "checkout", out)
    event.listen(Pool, "checkin", back)
    try:
        service.post(NEW)
        service.post(NEW)
    finally:
        event.remove(Pool, "checkout", out)
        event.remove(Pool, "checkin", back)
    assert seen == [0, 0]


def test_before_any_model_was_seen_nothing_is_expected(service: Service) -> None:
    service.predictor.error = GONE
    response = service.post(NEW)
    assert response.status_code == 201
    assert response.json
    assert response.json["metadata"] == metadata_of(None, "none", None)
    (prediction,) = service.rows("predictions")
    assert (prediction["expected"], prediction["served_by"]) == (None, "none")


def test_a_model_that_fails_leads_to_its_fallback(service: Service) -> None:
    service.post(NEW)
    service.predictor.error = GONE
    response = service.post(NEW)
    assert response.status_code == 201
    assert response.json
    assert response.json["metadata"] == metadata_of(OTHER, "fallback", VERSION)
    assert service.rows("predictions")[1]["served_by"] == "fallback"
    assert service.client.get(f"{PATH}/2").json == response.json


def test_the_fallback_survives_a_restart(service: Service) -> None:
    service.client.get("/readyz")
    service.restart()
    service.predictor.error = GONE
    response = service.post(NEW)
    assert response.json
    assert response.json["metadata"] == metadata_of(OTHER, "fallback", VERSION)


def test_the_fallback_is_that_of_the_version_that_was_seen_last(service: Service) -> None:
    description = service.predictor.description
    for version in ("v1", "v2", "v1"):
        service.predictor.answer = Answer(EXPECTED, version)
        service.predictor.description = type(description)(
            version, description.signature, EXPECTED if version == "v2" else OTHER
        )
        service.predictor.error = None
        service.post(NEW)
        service.predictor.error = GONE
        response = service.post(NEW)
        assert response.json
        fallback = EXPECTED if version == "v2" else OTHER
        assert response.json["metadata"] == metadata_of(fallback, "fallback", version)
    assert [row["version"] for row in service.rows("model_versions")] == ["v1", "v2"]


def test_a_version_is_described_once(service: Service) -> None:
    described: list[int] = []
    describe = service.predictor.describe

    def count() -> Any:
        described.append(1)
        return describe()

    service.predictor.describe = count  # type: ignore[method-assign]
    for _ in range(3):
        service.post(NEW)
    assert len(described) == 1


def test_a_model_that_does_not_describe_itself_still_answers(service: Service) -> None:
    def fail() -> Any:
        raise GONE

    service.predictor.describe = fail  # type: ignore[method-assign]
    response = service.post(NEW)
    assert response.json
    assert response.json["metadata"]["served_by"] == "model"
    service.predictor.error = GONE
    response = service.post(NEW)
    assert response.json
    assert response.json["metadata"]["served_by"] == "none"


def test_a_fallback_of_another_contract_is_not_used(service: Service) -> None:
    service.post(NEW)
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET signature = 'another'")
    service.predictor.error = GONE
    response = service.post(NEW)
    assert response.json
    assert response.json["metadata"]["served_by"] == "none"
