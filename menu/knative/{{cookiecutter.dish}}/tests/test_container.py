"""The container's process: every parity row, tokens, and a stop that loses nothing."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest
from container import HEADERS, INFER, READY, TOKEN, container
from parity import batches, tensors
from servers import ROOT, Server, current_version, place, product

from contract.tensors import predictions_of
from contract.tolerance import check_predictions

CALLERS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with container(tmp_path_factory.mktemp("app")) as started:
        started.wait(READY)
        yield started


@pytest.fixture(scope="module")
def version() -> str:
    return current_version()


def test_every_parity_row(server: Server, version: str) -> None:
    for rows, expected in batches():
        body = json.dumps({"inputs": tensors(rows)}).encode()
        status, answer = server.call("POST", INFER, body, HEADERS)
        assert status == 200, answer
        message = json.loads(answer)
        assert message["model_version"] == version
        check_predictions([each.model_dump() for each in predictions_of(message)], expected)


def test_who_has_no_token_is_refused(server: Server) -> None:
    assert server.call("POST", INFER, b"{}", {"Authorization": "Bearer x"})[0] == 401
    assert server.call("POST", INFER, b"{}", {})[0] == 401


def test_it_does_not_start_without_a_port(tmp_path: Path) -> None:
    with container(tmp_path, port_name="ANOTHER") as server:
        assert server.process.wait(30) != 0


def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """Knative sends nothing more to a Pod that stops; what it has sent is answered."""
    rows, expected = next(batches())
    body = json.dumps({"inputs": tensors(rows)}).encode()
    with container(tmp_path, LOG_LEVEL="warning") as server, ExitStack() as stack:
        server.wait(READY)
        callers = [HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(CALLERS)]
        for each in callers:
            stack.callback(each.close)
            each.request("GET", "/v2", headers=HEADERS)
            assert each.getresponse().read()
        for each in callers:
            each.request("POST", INFER, body, HEADERS)
        server.process.send_signal(signal.SIGTERM)
        for each in callers:
            answer = each.getresponse()
            predictions = predictions_of(json.loads(answer.read()))
            check_predictions([each.model_dump() for each in predictions], expected)
        assert server.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            server.call("GET", "/v2")


def test_the_product_is_served_by_it(server: Server, version: str, tmp_path: Path) -> None:
    model = {"MODEL_URL": f"http://127.0.0.1:{server.port}", "MODEL_TOKENS": TOKEN}
    with product(tmp_path, ROOT / "service/.venv", **model) as service:
        metadata = place(service)
    assert (metadata["served_by"], metadata["model_version"]) == ("model", version)
