"""The main job, from outside: place, predict, look up, record what happened."""

import re
from typing import Any

from conftest import EXAMPLES, PLURAL, TARGET, TOKEN, Pair, outcome, row

EXPECTED = f"expected_{TARGET}"


def test_the_private_model_answers_for_the_product(pair: Pair, manifest: dict[str, Any]) -> None:
    for number in range(len(EXAMPLES)):
        placed = pair.place(number)
        assert row(number).items() <= placed.items()
        assert placed[TARGET] is None
        assert placed["metadata"]["served_by"] == "model"
        assert placed["metadata"]["model_version"] == manifest["version"]
        assert placed["metadata"][EXPECTED] is not None
        assert pair.client.get(f"/{PLURAL}/{placed['id']}").json() == placed


def test_what_happened_is_recorded_once(pair: Pair) -> None:
    placed = pair.place()
    path = f"/{PLURAL}/{placed['id']}"
    assert pair.client.post(f"{path}/outcome", json=outcome()).status_code in (200, 201)
    assert pair.client.get(path).json() == {**placed, **outcome()}
    again = pair.client.post(f"{path}/outcome", json=outcome())
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"


def test_the_same_question_gets_the_same_answer(pair: Pair) -> None:
    first, second = pair.place(1), pair.place(1)
    assert first["metadata"] == second["metadata"]


def test_a_bad_request_names_its_field_and_stores_nothing(pair: Pair) -> None:
    before = pair.place()["id"]
    name = next(iter(row()))
    answer = pair.client.post(f"/{PLURAL}", json={**row(), name: {"not": "a value"}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert name in answer.text
    # The same id sequence goes on: nothing was stored in between.
    assert pair.client.get(f"/{PLURAL}/{before + 1}").status_code == 404


def test_the_request_id_crosses_to_the_model_server(pair: Pair) -> None:
    request_id = "from-outside-0123"
    headers = {"X-Request-ID": request_id}
    answer = pair.client.post(f"/{PLURAL}", json=row(), headers=headers)
    assert answer.headers["X-Request-ID"] == request_id
    for side in (pair.service, pair.model):
        assert side.logged("request_id", request_id)


def test_no_log_line_holds_the_token(pair: Pair) -> None:
    pair.place()
    pair.private.get("/v2")
    for side in (pair.service, pair.model):
        assert TOKEN not in side.log.read_text("utf-8")


def test_the_metrics_count_predictions(pair: Pair) -> None:
    def count() -> float:
        text = pair.client.get("/metrics").text
        found = re.findall(r'^\w*predictions_total\{.*served_by="model".*\} (\S+)$', text, re.M)
        return sum(map(float, found))

    before = count()
    pair.place()
    assert count() == before + 1
