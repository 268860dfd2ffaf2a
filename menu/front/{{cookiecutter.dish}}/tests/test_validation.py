"""What breaks a model's contract is told to the caller, and never reaches the model."""

import json
from collections.abc import Callable
from typing import Any

from conftest import Fake, Front

INPUTS = [
    {"name": "size", "datatype": "FP64", "shape": [-1]},
    {"name": "kind", "datatype": "BYTES", "shape": [-1]},
    {"name": "count", "datatype": "INT64", "shape": [-1]},
    {"name": "new", "datatype": "BOOL", "shape": [-1]},
]
TERMS = {"features": {"size": "float", "kind": "category?", "count": "int", "new": "bool"}}
PARAMETERS = {"signature": "a" * 16, "contract": json.dumps(TERMS)}


def request(**changes: Any) -> dict[str, Any]:
    """A sound request of two rows; a change replaces parts of a tensor, and None drops it."""
    data = {"size": [1.5, 2], "kind": ["a", None], "count": [1, 2.0], "new": [True, False]}
    tensors = []
    for each in INPUTS:
        name = each["name"]
        change = changes.pop(str(name), {})
        if change is not None:
            tensors.append({**each, "shape": [2], "data": data[str(name)], **change})
    return {"inputs": tensors, **changes}


WRONG: list[tuple[Any, str]] = [
    (request(size=None), "size: missing tensor of datatype FP64"),
    (request(size={"name": "seize"}), "seize: unknown tensor"),
    (request(size={"name": "count"}), "inputs: a tensor is there twice"),
    (request(size={"datatype": "FP32"}), "size: datatype is 'FP32', expected FP64"),
    (request(size={"datatype": None}), "size: datatype is None, expected FP64"),
    (request(size={"data": [1.5, "2"]}), "size: row 1 is '2', expected FP64"),
    (request(size={"data": [1.5, True]}), "size: row 1 is True, expected FP64"),
    (request(size={"data": [1.5, None]}), "size: row 1 is None, expected FP64"),
    (request(size={"data": [1.5, float("nan")]}), "size: row 1 is None, expected FP64"),
    (request(size={"data": [1.5, float("inf")]}), "size: row 1 is inf, expected FP64"),
    (request(size={"data": [1.5, [2]]}), "size: row 1 is [2], expected FP64"),
    (request(size={"data": [1.5]}), "size: `data` is not what shape [2] says"),
    (request(size={"data": "1.5"}), "size: `data` is not what shape [2] says"),
    (request(size={"data": None}), "size: `data` is not what shape [2] says"),
    (request(size={"shape": None}), "size: shape is None, expected [rows]"),
    (request(size={"shape": []}), "size: shape is [], expected [rows]"),
    (request(size={"shape": [True]}), "size: shape is [True], expected [rows]"),
    (request(size={"shape": [0], "data": []}), "size: `data` is not what shape [0] says"),
    (request(size={"shape": [-2]}), "size: `data` is not what shape [-2] says"),
    (request(size={"shape": [-1, -2]}), "size: `data` is not what shape [-1, -2] says"),
    (request(kind={"data": ["a", 1]}), "kind: row 1 is 1, expected BYTES"),
    (request(count={"data": [1, 1.5]}), "count: row 1 is 1.5, expected INT64"),
    (request(count={"data": [1, False]}), "count: row 1 is False, expected INT64"),
    (request(new={"data": [True, 0]}), "new: row 1 is 0, expected BOOL"),
    (request(new={"shape": [1], "data": [True]}), "inputs: some tensors have 1 rows, others 2"),
    (request(id=1), "body: "),
    (request(parameters=[1]), "body: "),
    (request(inputs=None), "body: "),
    (request(inputs=[1]), "body: "),
    (request(inputs=[{}]), "body: "),
    ([], "body: "),
    (None, "body: "),
    ("[" * 100_000, "body: "),
    (b"\xff", "body: "),
    (b'{"inputs": [], "id": "\\ud800"}', "body: "),
    (b'{"inputs": [{"name": "\\ud800"}]}', "body: "),
]


def test_a_wrong_request_is_told_its_field_and_its_fault(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    server = fake("boxes", inputs=INPUTS, parameters=PARAMETERS)
    behind = front([server.section()])
    path = "/v2/models/boxes/infer"
    for wrong, fault in WRONG:
        body = wrong if isinstance(wrong, bytes | str) else json.dumps(wrong)
        answer = behind.client.post(path, content=body)
        assert (answer.status_code, answer.json()["error"][: len(fault)]) == (400, fault)
    assert server.seen() == []
    assert behind.client.post(path, json=request()).status_code == 200


def test_what_the_model_accepts_is_passed_on(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    server = fake("boxes", inputs=INPUTS, parameters=PARAMETERS)
    behind = front([server.section()])
    nested = {"shape": [2, 1], "data": [[1.5], [2]]}
    ours = {"signature": "a" * 16}
    theirs = {"signature": "b" * 16, "may_ignore": "colour"}
    for sound in (
        request(),
        request(kind=None),
        request(kind={"data": ["", "b"]}),
        request(size=nested),
        request(parameters=ours),
        # The model server itself knows how another contract differs from its own.
        request(parameters=theirs, size=None),
        request(parameters=theirs, size={"name": "colour"}),
    ):
        answer = behind.client.post("/v2/models/boxes/infer", content=json.dumps(sound))
        assert answer.status_code == 200, answer.text
    seen = server.seen()
    assert seen[3]["body"]["inputs"][-1] == {**INPUTS[0], "shape": [2, 1], "data": [1.5, 2]}
    assert seen[4]["body"]["parameters"] == ours
    wrong = request(parameters=theirs, count={"data": [1, "2"]})
    assert behind.client.post("/v2/models/boxes/infer", json=wrong).status_code == 400


def test_servers_that_tell_no_contract_of_ours_are_checked_by_their_tensors(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    server = fake("plain", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}])
    behind = front([server.section()])
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [[1, 2, 3, 4]] * 2}
    path = "/v2/models/plain/infer"
    more = {"parameters": {"signature": "whatever"}}
    assert behind.client.post(path, json={"inputs": [tensor], **more}).status_code == 200
    assert server.seen()[0]["body"]["inputs"][0]["data"] == [1, 2, 3, 4] * 2
    row = {**tensor, "data": [[1, 2, 3, 4], [1, 2, 3, None]]}
    wrong = behind.client.post(path, json={"inputs": [row]})
    assert wrong.json() == {"error": "x: row 1 is None, expected FP32"}


def test_a_body_that_is_too_long_is_not_read(
    fake: Callable[..., Fake], front: Callable[..., Front]
) -> None:
    server = fake("sizes")
    behind = front([server.section()], max_body="1KiB")
    assert behind.infer("sizes", *range(1000)).status_code == 413
    chunks = behind.client.post("/v2/models/sizes/infer", content=iter([b"{}"]))
    assert chunks.status_code == 413
    assert behind.infer("sizes", 1).status_code == 200
