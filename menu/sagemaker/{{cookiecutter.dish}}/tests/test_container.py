"""The container by SageMaker's contract: every parity row through `/invocations`."""

import json

from conftest import ATTRIBUTES
from parity import batches, tensors
from servers import JSON, Server

from contract import FEATURES, MODEL_NAME, golden
from contract.tensors import predictions_of
from contract.tolerance import check_predictions


def test_it_is_healthy_and_nothing_else_is_open(server: Server) -> None:
    assert server.call("GET", "/ping")[0] == 200
    for path in ("/", "/metrics", "/v2", f"/v2/models/{MODEL_NAME}", "/ping/", "/invocations/"):
        assert server.call("GET", path)[0] == 401


def test_every_parity_row(server: Server, version: str) -> None:
    for rows, expected in batches():
        body = json.dumps({"inputs": tensors(rows)}).encode()
        status, answer = server.call("POST", "/invocations", body)
        assert status == 200, answer
        message = json.loads(answer)
        assert message["model_version"] == version
        check_predictions([each.model_dump() for each in predictions_of(message)], expected)


def test_the_golden_request(server: Server) -> None:
    latest = golden()[-1]
    status, answer = server.call("POST", "/invocations", json.dumps(latest.request).encode())
    assert status == 200
    found = json.loads(answer)
    assert found.keys() >= latest.response.keys()
    assert found["parameters"].keys() >= {"signature", "fallback"}


def test_bad_input_names_the_field(server: Server) -> None:
    required = [each.name for each in FEATURES if not each.optional]
    name = required[0] if required else "no tensor"
    rows, _ = next(batches())
    others = [each for each in tensors(rows[:1]) if required and each["name"] != name]
    for body, words in ((b"{", b"JSON"), (json.dumps({"inputs": others}).encode(), name.encode())):
        status, answer = server.call("POST", "/invocations", body)
        assert status == 400
        assert words in answer


def test_attributes_are_the_headers_of_the_pair(server: Server) -> None:
    rows, _ = next(batches())
    body = json.dumps({"inputs": tensors(rows[:1])}).encode()
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
        answer = server.call("POST", "/invocations", body, headers)
        assert answer[0] == status, (attributes, answer)
        assert words in answer[1]
