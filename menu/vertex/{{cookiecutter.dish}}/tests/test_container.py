"""The container by Vertex AI's contract: every parity row as instances, in batches."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import HEALTH, PREDICT, Storage, container
from parity import batches
from servers import JSON, ROOT, Server

from contract import FEATURES, MODEL_NAME, Prediction, golden
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

MODEL = str(ROOT / "model/.venv/bin/model")
REQUIRED = [each.name for each in FEATURES if not each.optional]


def predict(server: Server, instances: Any, path: str = PREDICT, **more: Any) -> tuple[int, Any]:
    body = json.dumps({"instances": instances, **more}).encode()
    status, answer = server.call("POST", path, body)
    return status, json.loads(answer)


def check(answer: Any, expected: list[dict[str, Any]], version: str) -> None:
    """Whether these are the predictions, each of this version."""
    assert {each.pop("model_version") for each in answer["predictions"]} == {version}
    found = [Prediction.model_validate(each).model_dump() for each in answer["predictions"]]
    check_predictions(found, expected)


def test_every_parity_row(server: Server, version: str) -> None:
    for instances, expected in batches():
        status, answer = predict(server, instances)
        assert status == 200, answer
        assert answer.keys() == {"predictions"}
        check(answer, expected, version)


def test_it_is_healthy_and_nothing_else_is_open(server: Server) -> None:
    assert server.call("GET", HEALTH)[0] == 200
    for path in ("/", "/metrics", "/v2", f"/v2/models/{MODEL_NAME}", f"{PREDICT}/", "/predict"):
        assert server.call("GET", path)[0] == 401
    assert server.call("GET", PREDICT)[0] == 405
    assert server.call("GET", "/metrics", headers={"Authorization": "Bearer x"})[0] == 401


def test_the_parameters_of_the_documentation_are_accepted(server: Server, version: str) -> None:
    instances, expected = next(batches())
    status, answer = predict(server, instances[:3], parameters={"sampleCount": 10})
    assert status == 200
    check(answer, expected[:3], version)


def test_a_missing_value_may_be_left_out(server: Server) -> None:
    instances, _ = next(batches())
    for feature in FEATURES:
        sent = [{k: v for k, v in each.items() if k != feature.name} for each in instances[:2]]
        status, answer = predict(server, [sent[0], instances[1]])
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
def test_bad_input_names_the_field(server: Server, instances: Any, words: str) -> None:
    status, answer = predict(server, instances)
    assert status == 400
    assert words in answer["error"]


def test_other_bodies(server: Server) -> None:
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"", 400),
        (b'{"instances": [], "instances": []}', 400),
        (b" " * (16 * 1024**2 + 1), 413),
    ):
        assert server.call("POST", PREDICT, body)[0] == status
    instances, _ = next(batches())
    body = json.dumps({"instances": instances[:1]}).encode()
    late, text = {**JSON, "X-Request-Timeout-Ms": "0"}, {"Content-Type": "text/plain"}
    assert server.call("POST", PREDICT, body, late)[0] == 503
    assert server.call("POST", PREDICT, b'{"instances": 1}', text)[0] == 415


def test_a_raw_prediction_is_the_protocols_own(server: Server, version: str) -> None:
    request = golden()[-1].request
    status, answer = server.call("POST", PREDICT, json.dumps({"id": "r1", **request}).encode())
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
    with container(tmp_path, AIP_STORAGE_URI=url, MODEL_STORE="/nowhere", **variables) as server:
        server.wait(HEALTH)
        instances, expected = next(batches())
        status, answer = predict(server, instances[:5])
        assert status == 200
        check(answer, expected[:5], version)
