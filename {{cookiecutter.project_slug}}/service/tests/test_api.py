"""Place, look up, record the outcome: what callers see, and what is stored."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Service
from pydantic_core import to_jsonable_python
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool
from support import (
    ENTITY,
    EXAMPLES,
    EXPECTED,
    GONE,
    NEW,
    OTHER,
    OUTCOME,
    PATH,
    PLURAL,
    SENT,
    SPARSE,
    VERSION,
    listening,
)

from contract import TARGET, Inputs, LookedUp, Prediction, assemble, examples
from service.predictors import Answer


def metadata_of(prediction: Prediction | None, served_by: str, version: str | None) -> Any:
    """The `metadata` of an answer with this prediction."""
    fields = prediction.model_dump() if prediction else {}
    more = {} if TARGET.kind == "float" else {"probabilities": fields.get("probabilities")}
    expected = {f"expected_{TARGET.name}": fields.get(TARGET.name)}
    return {**expected, **more, "served_by": served_by, "model_version": version}


def test_a_placed_one_is_answered_with_what_is_expected(service: Service) -> None:
    response = service.post(NEW)
    assert (response.status_code, response.headers["Location"]) == (201, f"{PATH}/1")
    expected = {
        "id": 1,
        "type": ENTITY,
        **NEW,
        TARGET.name: None,
        "metadata": metadata_of(EXPECTED, "model", VERSION),
    }
    answer: dict[str, Any] = response.get_json()
    found = {name: value for name, value in answer.items() if name in expected}
    assert [*found.items()] == [*expected.items()]  # in this order, whatever else there is
    assert service.client.get(f"{PATH}/1").json == answer


def test_every_value_is_answered_and_stored_and_reaches_the_model(service: Service) -> None:
    others = {"float": 7.25, "int": 7, "bool": False, "category": "else"}
    others["datetime"] = "2031-05-06T07:08:09Z"
    each_changed = [{**NEW, column.name: others[column.kind]} for column in SENT]
    for number, body in enumerate([NEW, SPARSE, *each_changed]):
        answer = service.place(body)
        features = service.predictor.asked[number][0]
        for found in (answer, service.rows(PLURAL)[number], features.model_dump()):
            assert to_jsonable_python({name: found[name] for name in body}) == body


def test_what_may_be_missing_may_be_left_out(service: Service) -> None:
    answer = service.place({name: value for name, value in SPARSE.items() if value is not None})
    assert {name: answer[name] for name in SPARSE} == SPARSE


def test_a_body_is_utf_8_and_may_have_a_mebibyte(service: Service) -> None:
    body = json.dumps(NEW, ensure_ascii=False).encode().ljust(2**20)
    kind = "application/json; charset=iso-8859-1"
    response = service.client.post(PATH, data=body, content_type=kind)
    assert response.status_code == 201
    (row,) = service.rows(PLURAL)
    assert to_jsonable_python({name: row[name] for name in NEW}) == NEW


def test_the_prediction_is_stored_as_it_was_made(service: Service) -> None:
    service.post(NEW, headers={"X-Request-ID": "r-1"})
    ((features, context),) = service.predictor.asked
    (row,), (prediction,) = service.rows(PLURAL), service.rows("predictions")
    assert prediction[f"{ENTITY}_id"] == row["id"]
    assert prediction["features"] == features.model_dump(mode="json")
    assert prediction["expected"] == EXPECTED.model_dump()[TARGET.name]
    assert prediction.get("probabilities") == EXPECTED.model_dump().get("probabilities")
    assert (prediction["served_by"], prediction["model_version"]) == ("model", VERSION)
    assert prediction["request_id"] == context.request_id == "r-1"
    assert prediction["latency_ms"] >= 0
    assert row[TARGET.name] is row["recorded_at"] is prediction["outcome"] is None
    for moment in (row["created_at"], prediction["created_at"]):
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_the_history_can_be_placed_with_its_features_derived_by_the_contract(
    service: Service,
) -> None:
    for sent, row in zip(EXAMPLES, examples(), strict=True):
        placed = service.place(sent)
        outcome = {TARGET.name: row[TARGET.name]}
        done = service.post(outcome, f"{PATH}/{placed['id']}/outcome")
        assert (done.status_code, done.json) == (200, {**placed, **outcome})
        features, _ = service.predictor.asked.pop()
        values = features.model_dump()
        looked_up = LookedUp(**{name: values[name] for name in LookedUp.model_fields})
        assert features == assemble(Inputs(**sent), looked_up)


def test_an_outcome_is_recorded_once(service: Service) -> None:
    placed = service.place()
    response = service.post(OUTCOME, f"{PATH}/1/outcome")
    assert (response.status_code, response.json) == (200, {**placed, **OUTCOME})
    assert service.client.get(f"{PATH}/1").json == response.json
    (row,), (prediction,) = service.rows(PLURAL), service.rows("predictions")
    assert row[TARGET.name] == prediction["outcome"] == OUTCOME[TARGET.name]
    assert row["created_at"] <= row["recorded_at"] <= datetime.now(UTC)
    again = service.post(OUTCOME, f"{PATH}/1/outcome")
    assert (again.status_code, again.mimetype) == (409, "application/problem+json")
    assert service.rows(PLURAL) == [row]


def test_of_many_who_record_at_once_one_succeeds(service: Service) -> None:
    service.place()

    def record(_: int) -> int:
        client = service.app.test_client()
        return client.post(f"{PATH}/1/outcome", json=OUTCOME).status_code

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(record, range(6))) == [200] + [409] * 5


def test_two_processes_that_meet_a_version_at_once_both_place(service: Service, url: str) -> None:
    assert not service.rows("model_versions")  # and SQLite has its log, as after `service migrate`
    other = Service(url)
    clients = [each.app.test_client for each in (service, other) * 15]
    with ThreadPoolExecutor(8) as threads:
        responses = threads.map(lambda client: client().post(PATH, json=NEW), clients)
        assert [response.status_code for response in responses] == [201] * 30
    other.close()
    assert len(service.rows(PLURAL)) == len(service.rows("predictions")) == 30
    assert [row["version"] for row in service.rows("model_versions")] == [VERSION]


@pytest.mark.parametrize("table", ["predictions", "model_versions", "idempotency_keys"])
def test_all_rows_are_written_or_none(service: Service, table: str) -> None:
    service.put_aside(table)
    key = {"Idempotency-Key": "a"}
    response = service.post(NEW, headers=key)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert (response.headers["Retry-After"], "table" in response.text) == ("1", False)
    service.put_back(table)
    assert service.stored() == len(service.rows("model_versions")) == 0
    assert service.post(NEW, headers=key).status_code == 201
    assert len(service.rows("model_versions")) == 1


def test_no_connection_is_held_while_the_model_predicts(service: Service) -> None:
    held: list[int] = [0]
    seen: list[int] = []

    def count(change: int) -> Any:
        return lambda *_: held.append(held.pop() + change)

    service.predictor.while_predicting = lambda: seen.append(*held)
    with listening(Pool, "checkout", count(1)), listening(Pool, "checkin", count(-1)):
        service.place()
        service.place()
    assert (seen, held) == ([0, 0], [0])


def test_before_any_model_has_answered_nothing_is_expected(service: Service) -> None:
    service.predictor.error = GONE
    assert service.place()["metadata"] == metadata_of(None, "none", None)
    (prediction,) = service.rows("predictions")
    assert (prediction["expected"], prediction["served_by"]) == (None, "none")


def test_a_model_that_fails_leads_to_its_fallback_also_after_a_restart(service: Service) -> None:
    service.place()
    service.predictor.error = GONE
    for _ in range(2):
        answer = service.place()
        assert answer["metadata"] == metadata_of(OTHER, "fallback", VERSION)
        assert service.rows("predictions")[-1]["served_by"] == "fallback"
        assert service.client.get(f"{PATH}/{answer['id']}").json == answer
        service.restart()


def test_the_fallback_is_that_of_the_version_that_answered_last(service: Service) -> None:
    for version, fallback in (("v1", OTHER), ("v2", EXPECTED), ("v1", OTHER)):
        service.predictor.answer = Answer(EXPECTED, version, fallback)
        service.predictor.error = None
        service.place()
        service.predictor.error = GONE
        assert service.place()["metadata"] == metadata_of(fallback, "fallback", version)
    assert [row["version"] for row in service.rows("model_versions")] == ["v1", "v2"]


def test_a_version_is_written_once(service: Service) -> None:
    service.place()
    before = service.rows("model_versions")
    service.place()
    assert service.rows("model_versions") == before


def test_without_its_model_not_every_request_reads_the_fallback(service: Service) -> None:
    service.place()
    service.predictor.error = GONE
    read: list[str] = []
    with listening(Engine, "before_cursor_execute", lambda *each: read.append(each[2])):
        for _ in range(20):
            service.place()
    assert len([each for each in read if "model_versions" in each]) < 20


@pytest.mark.parametrize("version", [None, VERSION])
def test_an_answer_without_a_fallback_changes_none(service: Service, version: str | None) -> None:
    service.predictor.answer = Answer(EXPECTED, version)
    assert service.place()["metadata"] == metadata_of(EXPECTED, "model", version)
    service.predictor.error = GONE
    assert service.place()["metadata"] == metadata_of(None, "none", None)
    service.predictor.error, service.predictor.answer = None, Answer(EXPECTED, VERSION, OTHER)
    service.place()
    service.predictor.answer = Answer(EXPECTED, version)
    service.place()
    service.predictor.error = GONE
    assert service.place()["metadata"] == metadata_of(OTHER, "fallback", VERSION)


def test_a_fallback_of_another_contract_is_not_used(service: Service) -> None:
    service.place()
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET signature = 'another'")
    service.predictor.error = GONE
    assert service.place()["metadata"] == metadata_of(None, "none", None)
