"""The package with the real runtime client: every parity row, and the service's own questions."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from lambdas import DISH, PACKAGE, ROOT, TOKEN, FunctionUrl, RuntimeApi, event_of, function

from contract import FEATURES, MODEL_NAME, TARGET, examples
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

BATCH = 2000
INFER = f"/v2/models/{MODEL_NAME}/infer"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def plain(value: Any, kind: str) -> Any:
    """A feature as it stands in JSON: a moment as a text."""
    if kind != "datetime" or value is None:
        return value
    return datetime.fromtimestamp(value, UTC).isoformat()


def can_be_sent(row: dict[str, Any]) -> bool:
    """Whether its moments are whole microseconds: a text has no more, so nobody can ask others."""
    moments = (row["features"][each.name] for each in FEATURES if each.kind == "datetime")
    return all(at is None or datetime.fromtimestamp(at, UTC).timestamp() == at for at in moments)


def batches() -> Iterator[tuple[bytes, list[dict[str, Any]]]]:
    """The parity rows: the body of a request, and what is predicted."""
    text = (DISH / "build/parity.jsonl").read_text("utf-8")
    every = [json.loads(line) for line in text.rstrip("\n").split("\n")]
    rows = [*filter(can_be_sent, every)]
    assert len(rows) > max(100, len(every) / 2)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        inputs = [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": [len(batch)],
                "data": [plain(row["features"][each.name], each.kind) for row in batch],
            }
            for each in FEATURES
        ]
        yield json.dumps({"inputs": inputs}).encode(), [row["expected"] for row in batch]


@pytest.fixture(scope="module")
def api() -> Iterator[RuntimeApi]:
    with function() as running:
        yield running


@pytest.fixture(scope="module")
def version() -> str:
    (folder,) = (PACKAGE / "artifacts").iterdir()
    return folder.name


def test_every_parity_row(api: RuntimeApi, version: str) -> None:
    for body, expected in batches():
        result = api.invoke(event_of("POST", INFER, AUTHORIZED, body))
        assert result["statusCode"] == 200, result
        answer = json.loads(result["body"])
        assert answer["model_version"] == version
        check_predictions([each.model_dump() for each in predictions_of(answer)], expected)


def test_who_has_no_token_is_refused(api: RuntimeApi) -> None:
    for headers in ({}, {"Authorization": "Bearer another"}):
        result = api.invoke(event_of("POST", INFER, headers))
        assert result["statusCode"] == 401
    assert api.invoke(event_of("GET", "/v2/health/ready"))["statusCode"] == 200


def test_bad_input_and_a_deadline_that_has_passed(api: RuntimeApi) -> None:
    result = api.invoke(event_of("POST", INFER, AUTHORIZED, b"{"))
    assert result["statusCode"] == 400
    late = {**AUTHORIZED, "X-Request-Timeout-Ms": "0"}
    body, _ = next(batches())
    assert api.invoke(event_of("POST", INFER, late, body))["statusCode"] == 503
    assert api.invoke(event_of("GET", "/nowhere", AUTHORIZED))["statusCode"] == 404


def test_an_event_of_a_rest_api(api: RuntimeApi, version: str) -> None:
    """Payload 1.0, after the example in the documentation of API Gateway."""
    body, expected = next(batches())
    event = {
        "resource": "/{proxy+}",
        "path": INFER,
        "httpMethod": "POST",
        "headers": AUTHORIZED,
        "multiValueHeaders": {name: [value] for name, value in AUTHORIZED.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": INFER[1:]},
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "POST",
            "path": INFER,
            "identity": {"sourceIp": "1.2.3.4"},
        },
        "body": body.decode(),
        "isBase64Encoded": False,
    }
    answer = json.loads(api.invoke(event)["body"])
    assert answer["model_version"] == version
    check_predictions([each.model_dump() for each in predictions_of(answer)], expected)


def test_what_was_measured_is_added_up(api: RuntimeApi) -> None:
    def rows() -> float:
        text = api.invoke(event_of("GET", "/metrics", AUTHORIZED))["body"]
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("inference_rows_total")
        )

    body, expected = next(batches())
    before = rows()
    api.invoke(event_of("POST", INFER, AUTHORIZED, body))
    assert rows() == before + len(expected)


def test_a_start_without_tokens_is_an_error_of_the_start() -> None:
    with function(MODEL_TOKENS="") as api:
        kind, result = api.results.get(timeout=180)
        assert kind == "error"
        assert "MODEL_TOKENS" in result["errorMessage"]


def test_a_damaged_version_is_not_served(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for each in PACKAGE.iterdir():
        if each.name == "artifacts":
            shutil.copytree(each, package / each.name)
        else:
            (package / each.name).symlink_to(each)
    (folder,) = (package / "artifacts").iterdir()
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    with function(package) as api:
        kind, result = api.results.get(timeout=180)
        assert kind == "error"
        assert "not the file that was stored" in result["errorMessage"]


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":  # where the server could not have it either
            holder.close()
        yield port


def call(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_product_is_served_by_the_function(
    api: RuntimeApi, version: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        port, ops = (stack.enter_context(reserved_port()) for _ in range(2))
        url = FunctionUrl(api)
        stack.enter_context(url.running())
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
            "MODEL_URL": f"http://{url.address}",
            "MODEL_TOKENS": TOKEN,
            "MODEL_DEADLINE": "10",
            "PORT": str(port),
            "OPS_PORT": str(ops),
        }
        service = str(ROOT / "service/.venv/bin/service")
        subprocess.run([service, "migrate"], cwd=ROOT, env=environment, check=True)
        process = subprocess.Popen([service, "serve"], cwd=ROOT, env=environment)
        try:
            wait_until_ready(port, process)
            _, document = call(port, "GET", "/openapi.json")
            path = next(name for name, methods in document["paths"].items() if "post" in methods)
            row = {name: value for name, value in examples()[0].items() if name != TARGET.name}
            status, answer = call(port, "POST", path, json.dumps(row).encode())
            # With the version's self-test, which is asked one row after the other.
            subprocess.run([service, "check"], cwd=ROOT, env=environment, check=True)
        finally:
            process.terminate()
            process.wait(30)
    assert status == 201, answer
    metadata = answer["metadata"]
    assert (metadata["served_by"], metadata["model_version"]) == ("model", version)


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until the product has a model."""
    deadline = time.monotonic() + 180
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        with suppress(OSError, HTTPException):
            status, answer = call(port, "GET", "/readyz")
            if status == 200 and answer["model"] == "ok":
                return
        time.sleep(0.05)
