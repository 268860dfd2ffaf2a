"""The container by Vertex AI's contract: every parity row as instances, in batches."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import DISH, HEALTH, MODEL, PREDICT, ROOT, Storage, call, container

from contract import FEATURES, MODEL_NAME, Prediction, golden
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

BATCH = 2000
REQUIRED = [each.name for each in FEATURES if not each.optional]
KINDS = {each.name: each.kind for each in FEATURES}


def plain(name: str, value: Any) -> Any:
    """A feature as it stands in JSON: a moment as a text."""
    if KINDS[name] != "datetime" or value is None:
        return value
    return datetime.fromtimestamp(value, UTC).isoformat()


def can_be_sent(row: dict[str, Any]) -> bool:
    """Whether its moments are whole microseconds: a text has no more, so nobody can ask others."""
    moments = (row["features"][each.name] for each in FEATURES if each.kind == "datetime")
    return all(at is None or datetime.fromtimestamp(at, UTC).timestamp() == at for at in moments)


def rows() -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Batches of the parity rows: instances, and what is predicted for each."""
    text = (DISH / "build/parity.jsonl").read_text("utf-8")
    every = [json.loads(line) for line in text.rstrip("\n").split("\n")]
    found = [*filter(can_be_sent, every)]
    assert len(found) > max(100, len(every) / 2)
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        instances = [
            {name: plain(name, value) for name, value in row["features"].items()} for row in batch
        ]
        yield instances, [row["expected"] for row in batch]


def predict(port: int, instances: Any, path: str = PREDICT, **more: Any) -> tuple[int, Any]:
    body = json.dumps({"instances": instances, **more}).encode()
    status, answer = call(port, "POST", path, body)
    return status, json.loads(answer)


def check(answer: Any, expected: list[dict[str, Any]], version: str) -> None:
    """Whether these are the predictions, each of this version."""
    assert {each.pop("model_version") for each in answer["predictions"]} == {version}
    found = [Prediction.model_validate(each).model_dump() for each in answer["predictions"]]
    check_predictions(found, expected)


def test_every_parity_row(port: int, version: str) -> None:
    for instances, expected in rows():
        status, answer = predict(port, instances)
        assert status == 200, answer
        assert answer.keys() == {"predictions"}
        check(answer, expected, version)


def test_it_is_healthy_and_nothing_else_is_open(port: int) -> None:
    assert call(port, "GET", HEALTH)[0] == 200
    for path in ("/", "/metrics", "/v2", f"/v2/models/{MODEL_NAME}", f"{PREDICT}/", "/predict"):
        assert call(port, "GET", path)[0] == 401
    assert call(port, "GET", PREDICT)[0] == 405
    assert call(port, "GET", "/metrics", Authorization="Bearer x")[0] == 401


def test_the_parameters_of_the_documentation_are_accepted(port: int, version: str) -> None:
    instances, expected = next(rows())
    status, answer = predict(port, instances[:3], parameters={"sampleCount": 10})
    assert status == 200
    check(answer, expected[:3], version)


def test_a_missing_value_may_be_left_out(port: int) -> None:
    instances, _ = next(rows())
    for feature in FEATURES:
        sent = [{k: v for k, v in each.items() if k != feature.name} for each in instances[:2]]
        status, answer = predict(port, [sent[0], instances[1]])
        if feature.optional:
            assert status == 200
        else:
            assert status == 400
            assert feature.name in answer["error"]


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([], "at least one row"),
        ({}, "instances"),
        ("x", "instances"),
        ([[1, 2]], "instances"),
        *(([{}], name) for name in REQUIRED[:1]),
        ([{"nothing_of_ours": 1}], "nothing_of_ours"),
        ([{each.name: {} for each in FEATURES}], FEATURES[0].name),
    ],
)
def test_bad_input_names_the_field(port: int, instances: Any, words: str) -> None:
    status, answer = predict(port, instances)
    assert status == 400
    assert words in answer["error"]


def test_other_bodies(port: int) -> None:
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"", 400),
        (b'{"instances": [], "instances": []}', 400),
        (b" " * (16 * 1024**2 + 1), 413),
    ):
        assert call(port, "POST", PREDICT, body)[0] == status
    instances, _ = next(rows())
    body = json.dumps({"instances": instances[:1]}).encode()
    assert call(port, "POST", PREDICT, body, X_Request_Timeout_Ms="0")[0] == 503
    assert call(port, "POST", PREDICT, b'{"instances": 1}', Content_Type="text/plain")[0] == 415


def test_a_raw_prediction_is_the_protocols_own(port: int, version: str) -> None:
    request = golden()[-1].request
    status, answer = call(port, "POST", PREDICT, json.dumps({"id": "r1", **request}).encode())
    assert status == 200
    message = json.loads(answer)
    assert (message["id"], message["model_version"]) == ("r1", version)
    assert message["parameters"].keys() >= {"signature", "fallback"}
    assert len(predictions_of(message)) == len(golden()[-1].features)


def test_the_version_in_the_storage_goes_before_the_image(
    storage: Storage, version: str, tmp_path: Path
) -> None:
    url = "gs://bucket/models/waits"
    subprocess.run([MODEL, "push", url], cwd=ROOT, check=True)
    variables = {name: os.environ[name] for name in ("GOOGLE_SERVICE_ACCOUNT", "AWS_ALLOW_HTTP")}
    promote = {**os.environ, "MODEL_STORE": url, "MODEL_CACHE": str(tmp_path / "other")}
    subprocess.run([MODEL, "promote", version], cwd=ROOT, env=promote, check=True)
    assert storage.objects.keys() == {f"models/waits/{version}.tar", "models/waits/log.jsonl"}
    with container(tmp_path, AIP_STORAGE_URI=url, MODEL_STORE="/nowhere", **variables) as port:
        instances, expected = next(rows())
        status, answer = predict(port, instances[:5])
        assert status == 200
        check(answer, expected[:5], version)
