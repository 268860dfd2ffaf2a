"""The container's process: every parity row, tokens, and a stop that loses nothing."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from container import DISH, HEADERS, ROOT, TOKEN, Container, reserved_port, running

from contract import FEATURES, MODEL_NAME, TARGET, examples
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

BATCH = 2000
INFER = f"/v2/models/{MODEL_NAME}/infer"
CALLERS = 8


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
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with running(tmp_path_factory.mktemp("app")) as started:
        started.wait()
        yield started


@pytest.fixture(scope="module")
def version() -> str:
    command = ["model/.venv/bin/model", "show", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found: str = json.loads(done.stdout)["version"]
    return found


def test_every_parity_row(container: Container, version: str) -> None:
    for body, expected in batches():
        status, answer = container.call("POST", INFER, body)
        assert status == 200, answer
        message = json.loads(answer)
        assert message["model_version"] == version
        check_predictions([each.model_dump() for each in predictions_of(message)], expected)


def test_who_has_no_token_is_refused(container: Container) -> None:
    assert container.call("POST", INFER, b"{}", {"Authorization": "Bearer x"})[0] == 401
    assert container.call("POST", INFER, b"{}", {})[0] == 401


def test_it_does_not_start_without_a_port(tmp_path: Path) -> None:
    with running(tmp_path, PORT="") as container:
        assert container.process.wait(30) != 0


def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """Knative sends nothing more to a Pod that stops; what it has sent is answered."""
    body, expected = next(batches())
    with running(tmp_path, LOG_LEVEL="warning") as container, ExitStack() as stack:
        container.wait()
        callers = [HTTPConnection("127.0.0.1", container.port, timeout=60) for _ in range(CALLERS)]
        for each in callers:
            stack.callback(each.close)
            each.request("GET", "/v2", headers=HEADERS)
            assert each.getresponse().read()
        for each in callers:
            each.request("POST", INFER, body, HEADERS)
        container.process.send_signal(signal.SIGTERM)
        for each in callers:
            answer = each.getresponse()
            predictions = predictions_of(json.loads(answer.read()))
            check_predictions([each.model_dump() for each in predictions], expected)
        assert container.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            container.call("GET", "/v2")


def test_the_product_is_served_by_it(container: Container, version: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        port, ops = (stack.enter_context(reserved_port()) for _ in range(2))
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
            "MODEL_URL": f"http://127.0.0.1:{container.port}",
            "MODEL_TOKENS": TOKEN,
            "MODEL_DEADLINE": "10",
            "PORT": str(port),
            "OPS_PORT": str(ops),
        }
        service = str(ROOT / "service/.venv/bin/service")
        subprocess.run([service, "migrate"], cwd=ROOT, env=environment, check=True)
        process = subprocess.Popen([service, "serve"], cwd=ROOT, env=environment)
        try:
            product = Container(port, process)
            wait_until_it_has_a_model(product)
            document = json.loads(product.call("GET", "/openapi.json")[1])
            path = next(name for name, methods in document["paths"].items() if "post" in methods)
            row = {name: value for name, value in examples()[0].items() if name != TARGET.name}
            status, answer = product.call("POST", path, json.dumps(row).encode())
        finally:
            process.terminate()
            process.wait(30)
    assert status == 201, answer
    metadata = json.loads(answer)["metadata"]
    assert (metadata["served_by"], metadata["model_version"]) == ("model", version)


def wait_until_it_has_a_model(product: Container) -> None:
    deadline = time.monotonic() + 180
    while True:
        assert product.process.poll() is None
        assert time.monotonic() < deadline
        with suppress(OSError, HTTPException):
            status, answer = product.call("GET", "/readyz")
            if status == 200 and json.loads(answer)["model"] == "ok":
                return
        time.sleep(0.05)
