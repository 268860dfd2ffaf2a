"""The project's own model server through the front: the same answers, bit by bit."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from math import isclose
from pathlib import Path
from typing import Any

import httpx2
from conftest import (
    PROJECT,
    TOKEN,
    Front,
    Process,
    Server,
    listens,
    reserved_port,
    wait_until,
)

TOLERANCE = 1e-5
BATCH = 1000
SERVICE = PROJECT / "service/.venv/bin/service"


def request_of(rows: list[dict[str, Any]], manifest: dict[str, Any]) -> dict[str, Any]:
    """The inference request for rows as `model parity` writes them."""
    datatypes = {"float": "FP64", "int": "INT64", "bool": "BOOL"}
    tensors = []
    for name, kind in manifest["features"].items():
        data = [row[name] for row in rows]
        if kind.startswith("datetime"):
            data = [
                None if it is None else f"{datetime.fromtimestamp(it, UTC):%FT%T.%fZ}"
                for it in data
            ]
        datatype = datatypes.get(kind.rstrip("?"), "BYTES")
        tensors.append({"name": name, "datatype": datatype, "shape": [len(data)], "data": data})
    return {"inputs": tensors}


def is_exact(row: dict[str, Any], manifest: dict[str, Any]) -> bool:
    """Whether a row can be sent as it is: a text of a moment ends with the microseconds."""
    moments = [row[name] for name, kind in manifest["features"].items() if "datetime" in kind]
    return all(it is None or datetime.fromtimestamp(it, UTC).timestamp() == it for it in moments)


def predictions(
    answer: dict[str, Any], manifest: dict[str, Any]
) -> Iterator[tuple[Any, dict[str, float]]]:
    """For each row what is predicted, and the probabilities, if there are any."""
    outputs = {each["name"]: each for each in answer["outputs"]}
    (target,) = manifest["target"]
    shares = outputs.get("probabilities", {"data": [], "parameters": {"classes": []}})
    classes = shares["parameters"]["classes"]
    for row, value in enumerate(outputs[target]["data"]):
        found = shares["data"][row * len(classes) : (row + 1) * len(classes)]
        yield value, dict(zip(classes, found, strict=True))


def test_every_parity_row_is_answered_as_by_the_model_server_and_by_scikit_learn(
    model: Server,
    manifest: dict[str, Any],
    front: Callable[..., Front],
    rows: list[dict[str, Any]],
    redis: Process,
    folder: Path,
) -> None:
    cache = {"redis": f"unix://{folder}/redis.sock", "seconds": 600}
    name = manifest["model"]
    behind = front([model.section(name, cache=cache)], max_body="16MiB")
    (target,) = manifest["target"]
    compared = 0
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        request = request_of([row["features"] for row in batch], manifest)
        own = model.client.post(f"/v2/models/{name}/infer", json=request).json()
        response = behind.client.post("/v2/models/own/infer", json=request)
        assert response.headers["X-Cache"] == "miss", response.text
        for answer in (response, behind.kept("own", request)):
            assert answer.json() == own | {"model_name": "own"}
        assert own["model_version"] == manifest["version"]
        for row, (value, shares) in zip(batch, predictions(own, manifest), strict=True):
            if not is_exact(row["features"], manifest):
                continue
            compared, expected = compared + 1, row["expected"][target]
            if shares:
                assert value == expected
                should = row["expected"]["probabilities"]
                assert shares.keys() == should.keys()
                for each, share in shares.items():
                    assert isclose(share, should[each], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            else:
                assert isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    assert compared > len(rows) / 4


def test_the_service_reaches_its_model_by_model_url_alone(
    model: Server,
    manifest: dict[str, Any],
    front: Callable[..., Front],
    stack: ExitStack,
    folder: Path,
) -> None:
    port, own, ops = (stack.enter_context(reserved_port()) for _ in range(3))
    name = manifest["model"]
    front([model.section(name, name=name)], port=port)
    settings: dict[str, Any] = {
        "DATABASE_URL": f"sqlite:///{folder}/service.db",
        "MODEL_URL": f"http://127.0.0.1:{port}/v2/models/{name}",
        "MODEL_TOKENS": TOKEN,
        "MODEL_DEADLINE": "10",
        "PORT": str(own),
        "OPS_PORT": str(ops),
    }
    run: dict[str, Any] = {"cwd": PROJECT, "env": {**os.environ, **settings}, "check": True}
    subprocess.run([SERVICE, "migrate"], **run)
    service = Process([SERVICE, "serve"], **settings)
    stack.callback(service.stop)

    def is_ready() -> bool:
        answer = httpx2.get(f"http://127.0.0.1:{own}/readyz", timeout=30)
        return bool(answer.json().get("model") == "ok")

    wait_until(lambda: listens(("127.0.0.1", own)), "the service does not listen")
    wait_until(is_ready, "the service is not ready")
    checked = subprocess.run([SERVICE, "check"], capture_output=True, **run).stdout.decode()
    assert manifest["version"] in checked
    example = json.loads((PROJECT / "contract/src/contract/examples.json").read_text())[0]
    row = {key: value for key, value in example.items() if key not in manifest["target"]}
    paths = httpx2.get(f"http://127.0.0.1:{own}/openapi.json").json()["paths"]
    (place,) = [path for path, verbs in paths.items() if "post" in verbs and "{" not in path]
    answer = httpx2.post(f"http://127.0.0.1:{own}{place}", json=row, timeout=30)
    told = answer.json()["metadata"]
    assert (told["served_by"], told["model_version"]) == ("model", manifest["version"])


def test_an_explanation_comes_through(
    model: Server, manifest: dict[str, Any], front: Callable[..., Front], rows: list[dict[str, Any]]
) -> None:
    row = rows[0]["features"]
    name = manifest["model"]
    behind = front([model.section(name)])
    path = f"/v2/models/{name}/explain"
    own = model.client.post(path, json=request_of([row], manifest))
    found = behind.client.post("/v2/models/own/explain", json=request_of([row], manifest))
    assert (found.status_code, found.json()) == (own.status_code, own.json())


def test_each_feature_of_the_contract_is_checked_before_the_model_is_asked(
    model: Server, manifest: dict[str, Any], front: Callable[..., Front], rows: list[dict[str, Any]]
) -> None:
    row = rows[0]["features"]
    behind = front([model.section(manifest["model"])])
    infer = "/v2/models/own/infer"
    model.process.send(signal.SIGSTOP)
    try:
        for position, (name, kind) in enumerate(manifest["features"].items()):
            request = request_of([row], manifest)
            request["inputs"][position]["data"] = [{"of": "no kind"}]
            wrong = behind.client.post(infer, json=request)
            assert wrong.status_code == 400
            assert name in wrong.json()["error"]
            if not kind.endswith("?"):
                del request["inputs"][position]
                missing = behind.client.post(infer, json=request)
                assert missing.status_code == 400
                assert missing.json()["error"].startswith(f"{name}: missing tensor of datatype ")
    finally:
        model.process.send(signal.SIGCONT)


def test_tokens_of_the_front_are_not_those_of_the_model(
    model: Server, manifest: dict[str, Any], front: Callable[..., Front]
) -> None:
    behind = front([model.section(manifest["model"])])
    path = f"/v2/models/{manifest['model']}"
    assert model.client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401
    for shown in ("", f"Bearer {model.token}", f"Bearer {secrets.token_urlsafe(32)}", "Basic x"):
        answer = behind.client.get("/v2/models/own", headers={"Authorization": shown})
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]
    told, own = behind.client.get("/v2/models/own").json(), model.client.get(path).json()
    assert told == own | {"name": "own"}
