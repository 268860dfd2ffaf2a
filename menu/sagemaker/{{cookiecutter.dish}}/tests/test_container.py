"""The container by SageMaker's contract: every parity row through `/invocations`."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from conftest import ATTRIBUTES, DISH, call

from contract import FEATURES, MODEL_NAME, golden
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

BATCH = 2000
JSON = {"Content-Type": "application/json"}


def rows() -> Iterator[list[dict[str, Any]]]:
    """The parity rows in batches."""
    text = (DISH / "build/parity.jsonl").read_text("utf-8")
    every = [json.loads(line) for line in text.rstrip("\n").split("\n")]
    found = [*filter(can_be_sent, every)]
    assert len(found) > max(100, len(every) / 2)
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def plain(value: Any, kind: str) -> Any:
    """A feature as it stands in JSON: a moment as a text."""
    if kind != "datetime" or value is None:
        return value
    return datetime.fromtimestamp(value, UTC).isoformat()


def can_be_sent(row: dict[str, Any]) -> bool:
    """Whether its moments are whole microseconds: a text has no more, so nobody can ask others."""
    moments = (row["features"][each.name] for each in FEATURES if each.kind == "datetime")
    return all(at is None or datetime.fromtimestamp(at, UTC).timestamp() == at for at in moments)


def inputs(batch: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tensors for these rows."""
    return [
        {
            "name": each.name,
            "datatype": each.datatype,
            "shape": [len(batch)],
            "data": [plain(row["features"][each.name], each.kind) for row in batch],
        }
        for each in FEATURES
    ]


def test_it_is_healthy_and_nothing_else_is_open(container: int) -> None:
    assert call(container, "GET", "/ping")[0] == 200
    for path in ("/", "/metrics", "/v2", f"/v2/models/{MODEL_NAME}", "/ping/", "/invocations/"):
        assert call(container, "GET", path)[0] == 401


def test_every_parity_row(container: int, version: str) -> None:
    for batch in rows():
        body = json.dumps({"inputs": inputs(batch)}).encode()
        status, answer = call(container, "POST", "/invocations", body, **JSON)
        assert status == 200, answer
        message = json.loads(answer)
        assert message["model_version"] == version
        predictions = [each.model_dump() for each in predictions_of(message)]
        check_predictions(predictions, [row["expected"] for row in batch])


def test_the_golden_request(container: int) -> None:
    latest = golden()[-1]
    status, answer = call(
        container, "POST", "/invocations", json.dumps(latest.request).encode(), **JSON
    )
    assert status == 200
    found = json.loads(answer)
    assert found.keys() >= latest.response.keys()
    assert found["parameters"].keys() >= {"signature", "fallback"}


def test_bad_input_names_the_field(container: int) -> None:
    required = [each.name for each in FEATURES if not each.optional]
    name = required[0] if required else "no tensor"
    others = [each for each in inputs(next(rows())[:1]) if required and each["name"] != name]
    for body, words in ((b"{", b"JSON"), (json.dumps({"inputs": others}).encode(), name.encode())):
        status, answer = call(container, "POST", "/invocations", body, **JSON)
        assert status == 400
        assert words in answer


def test_attributes_are_the_headers_of_the_pair(container: int) -> None:
    body = json.dumps({"inputs": inputs(next(rows())[:1])}).encode()
    for attributes, status, words in (
        ("x-request-timeout-ms=0", 503, b"too late"),
        ("x-request-timeout-ms=5000", 200, b"outputs"),
        ("x-request-timeout-ms=x", 400, b"milliseconds"),
        ("anything else", 200, b"outputs"),
        ("authorization=x&content-type=x", 200, b"outputs"),
        (f"request=GET%20/v2/models/{MODEL_NAME}", 200, b"versions"),
        ("request=GET%20/nowhere", 404, b"Not Found"),
        ("request=%00%ff", 404, b""),
    ):
        headers = {**JSON, ATTRIBUTES: attributes}
        answer = call(container, "POST", "/invocations", body, **headers)
        assert answer[0] == status, (attributes, answer)
        assert words in answer[1]
