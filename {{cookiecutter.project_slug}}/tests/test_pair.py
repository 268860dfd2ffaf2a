"""The main job, from outside: place, predict, look up, record what happened."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from conftest import EXAMPLES, PLURAL, TARGET, TOKEN, Pair, outcome, row

EXPECTED = f"expected_{TARGET}"


def test_the_private_model_answers_for_the_product(pair: Pair, manifest: dict[str, Any]) -> None:
    for number in range(len(EXAMPLES)):
        placed = pair.place(number)
        assert placed["metadata"] == pair.place(number)["metadata"]
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


def test_the_request_id_crosses_to_the_model_server(pair: Pair) -> None:
    request_id = "from-outside-0123"
    headers = {"X-Request-ID": request_id}
    answer = pair.client.post(f"/{PLURAL}", json=row(), headers=headers)
    assert answer.headers["X-Request-ID"] == request_id
    for side in (pair.service, pair.model):
        side.has_logged("request_id", request_id)


def test_the_token_is_shown_nowhere(pair: Pair) -> None:
    pair.place()
    pair.private.get("/v2")
    headers = {"Authorization": f"Bearer {TOKEN}x"}
    assert TOKEN not in pair.private.get("/v2", headers=headers).text
    assert "predictions_total" in (metrics := pair.operators.get("/metrics").text)
    assert TOKEN not in metrics
    for operators_or_callers in (pair.operators, pair.client):
        assert TOKEN not in operators_or_callers.get("/readyz").text
    for side in (pair.service, pair.model):
        assert TOKEN not in side.log.read_text("utf-8")
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            assert TOKEN.encode() not in command.read_bytes()
