"""The private API, word for word: what it answers, what it rejects, and for whom."""

import gc
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import INFER, MODEL, REQUEST, TOKENS, client_of, make_history
from starlette.testclient import TestClient
from structlog.testing import capture_logs

import contract
from contract import FEATURES, INPUTS, MODEL_NAME, TARGET, ContractError, Features, signature
from contract.tensors import inputs_of, predictions_of
from contract.tolerance import check_predictions
from model.artifacts.store import Store
from model.columns import Columns, add_derived
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.errors import ModelError
from model.serving.access import tokens_of
from model.serving.app import LOOP_BYTES
from model.serving.batching import LOOP_SECONDS
from model.serving.library import open_model
from model.settings import Settings

CLASSIFICATION = TARGET.kind != "float"
OUTPUTS = [TARGET.name, *(["probabilities"] if CLASSIFICATION else [])]
Change = Callable[[Predictions], Predictions]
Serve = Callable[[Change], TestClient]


@pytest.fixture
def serve(model: Model, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serves the version with predictions that a function changes."""

    def serve(change: Change) -> TestClient:
        engine: Any = SimpleNamespace(predict=lambda arrays: change(model.engine.predict(arrays)))
        monkeypatch.setattr(Model, "load", lambda *_: Model(model.manifest, engine))
        return client_of(settings)

    return serve


def rows_of(columns: Columns) -> list[Features]:
    rows = zip(*columns.values(), strict=True)
    return [Features(**dict(zip(columns, row, strict=True))) for row in rows]


def error_of(response: Any, status: int) -> str:
    """The error that is the whole body of a response with this status."""
    assert response.status_code == status, response.text
    (key, error), *others = response.json().items()
    assert (key, others) == ("error", [])
    return str(error)


@pytest.mark.parametrize("path", ["/v2", MODEL, INFER, "/openapi.json", "/", "/v2/health/live/"])
def test_a_request_without_a_token_is_rejected(path: str, client: TestClient) -> None:
    first, both = TOKENS[0], ",".join(TOKENS)
    wrong = ["", first, f"Basic {first}"]
    wrong += [f"Bearer {token}" for token in ("", "\u00e9", f"{first}x", first[:-1], both)]
    for authorization in wrong:
        response = client.post(path, headers={b"Authorization": authorization.encode("latin-1")})
        assert error_of(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_every_token_is_accepted_and_health_needs_none(
    client: TestClient, settings: Settings
) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        response = client.get(path, headers={"Authorization": ""})
        assert (response.status_code, response.json()) == (200, {"live": True, "ready": True})
    for token in TOKENS:
        for scheme in ("Bearer", "bearer"):
            response = client.get("/v2", headers={"Authorization": f"{scheme} {token}"})
            assert (response.status_code, response.json()["name"]) == (200, "model")
    with pytest.raises(ModelError, match="MODEL_TOKENS"):
        tokens_of(settings.model_copy(update={"model_tokens": ()}))


def test_metadata(client: TestClient, store: Store) -> None:
    version = store.current()
    for path in (MODEL, f"{MODEL}/versions/{version}"):
        body = client.get(path).json()
        assert (body["name"], body["versions"]) == (MODEL_NAME, [version])
        for part, names in (("inputs", [each.name for each in FEATURES]), ("outputs", OUTPUTS)):
            assert [each["name"] for each in body[part]] == names
        assert body["parameters"].keys() == {"signature", "contract", "self_test"}
        assert body["parameters"]["signature"] == signature()
        test = json.loads(body["parameters"]["self_test"])
        rows = [Features.model_validate_json(json.dumps(row)) for row in test["rows"]]
        answer = client.post(INFER, json={"inputs": inputs_of(rows)}).json()
        found = [each.model_dump() for each in predictions_of(answer)]
        check_predictions(found, test["predictions"])
        assert client.get(f"{path}/ready").json() == {"name": MODEL_NAME, "ready": True}


def test_other_models_versions_routes_and_methods_are_rejected(client: TestClient) -> None:
    for path in ("/v2/models/x", f"{MODEL}/versions/000000000000", f"{MODEL}/versions/\u00e9"):
        for response in (client.get(path), client.get(f"{path}/ready")):
            assert "unknown" in error_of(response, 404)
        assert "unknown" in error_of(client.post(f"{path}/infer", json=REQUEST), 404)
    for path in ("/", "/v2/", "/v2/models", f"{MODEL}/", f"{INFER}/", "/openapi.json"):
        error_of(client.get(path, follow_redirects=False), 404)
    for method, path in (("GET", INFER), ("PUT", INFER), ("DELETE", MODEL), ("POST", "/v2")):
        response = client.request(method, path)
        assert error_of(response, 405)
        assert response.headers["allow"]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("bytes_", [0, LOOP_BYTES + 1], ids=["short", "long"])
def test_a_batch_is_predicted_as_the_model_predicts_it(
    bytes_: int, compiled: bool, settings: Settings, store: Store, uncompiled_store: Store
) -> None:
    store = store if compiled else uncompiled_store
    client = client_of(settings.model_copy(update={"model_store": str(store.path)}))
    columns = make_history(50).columns
    expected = Model.load(store.folder()).predict(columns).rows()
    content = json.dumps({"id": "7\ud83d", "inputs": inputs_of(rows_of(columns))}).ljust(bytes_)
    for path in (INFER, f"{MODEL}/versions/{store.current()}/infer"):
        response = client.post(path, content=content)
        body = response.json()
        assert response.status_code == 200
        assert [row.model_dump() for row in predictions_of(body)] == expected
        assert (body["model_name"], body["model_version"]) == (MODEL_NAME, store.current())
        assert body["parameters"]["signature"] == signature()
        assert json.loads(body["parameters"]["fallback"]) == store.read().fallback
        quantiles = store.read().observed[TARGET.name].quantiles
        assert json.loads(body["parameters"].get("range", "null")) == (
            quantiles and [quantiles[0], quantiles[-1]]
        )
        assert body["id"] == "7\ud83d"
        assert [each["name"] for each in body["outputs"]] == OUTPUTS


def test_other_requests_are_answered_while_the_model_is_busy(serve: Serve) -> None:
    busy, go = threading.Event(), threading.Event()
    go.set()

    def wait(predictions: Predictions) -> Predictions:
        time.sleep(2 * LOOP_SECONDS)  # which is too long for the event loop
        busy.set()
        assert go.wait(30)
        return predictions

    with serve(wait) as client, ThreadPoolExecutor(1) as others:
        go.clear()
        busy.clear()
        late = others.submit(client.post, INFER, json=REQUEST)
        assert busy.wait(30)
        assert client.get("/v2/health/ready").status_code == 200
        assert client.post(INFER, json={}).status_code == 400
        assert not late.done()
        go.set()
        assert late.result().status_code == 200


def test_the_examples_and_every_golden_request_are_answered(client: TestClient) -> None:
    for example in contract.examples():
        (row,) = rows_of(add_derived({each.name: [example.get(each.name)] for each in INPUTS}))
        body = client.post(INFER, json={"inputs": inputs_of([row])}).json()
        assert len(predictions_of(body)) == 1
        assert "id" not in body
    *older, latest = contract.golden()
    assert len(predictions_of(client.post(INFER, json=latest.request).json())) == 2
    for exchange in older:
        response = client.post(INFER, json=exchange.request)
        names = {each["name"] for each in exchange.request["inputs"]}
        names |= {each.name for each in FEATURES}
        assert response.status_code == 200 or error_of(response, 400).partition(":")[0] in names


def test_the_outputs_that_were_asked_for_are_answered(client: TestClient) -> None:
    for names in (*([each] for each in OUTPUTS), []):
        wanted = [{"name": name, "parameters": {"binary_data": False}} for name in names]
        response = client.post(INFER, json={**REQUEST, "outputs": wanted, "parameters": {}})
        assert [each["name"] for each in response.json()["outputs"]] == (names or OUTPUTS)


def changed(**changes: Any) -> bytes:
    """The request with other parts."""
    return json.dumps({**REQUEST, **changes}).encode()


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "not UTF-8": (b'{"\xff": 1}', "not JSON"),
    "many digits": (b'{"inputs": ' + b"1" * 5000 + b"}", "integer of too many digits"),
    "deep": (b"[" * 50_000, "nested"),
    "a key twice": (b'{"id": "1", "id": "2", "inputs": []}', "'id' is there twice"),
    "a key twice, escaped": (b'{"id": "1", "i\\u0064": ":", "inputs": []}', "'id' is there twice"),
    "a key twice, deep in it": (
        changed(parameters={"x": [1]})[:-1] + b', "y": [{"a": 1, "a": 2}]}',
        "'a' is",
    ),
    "a key of a tensor twice": (
        changed().replace(b'"name"', b'"name": "", "name"', 1),
        "'name' is",
    ),
    "no inputs": (b"{}", "inputs"),
    "a number as id": (changed(id=7), "`id`"),
    "parameters in a list": (changed(parameters=[]), "`parameters`"),
    "outputs in an object": (changed(outputs={}), "`outputs`"),
    "an output without a name": (changed(outputs=[{}]), "outputs[0]"),
    "an unknown output": (changed(outputs=[{"name": "nobody"}]), "nobody"),
}


@pytest.mark.parametrize(("body", "fault"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_rejected(
    body: bytes, fault: str, client: TestClient, request: pytest.FixtureRequest
) -> None:
    # A finalizer that is run at the end of the stack fails there, whatever it belongs to.
    gc.collect()
    gc.disable()
    request.addfinalizer(gc.enable)
    assert fault in error_of(client.post(INFER, content=body), 400)


def test_nan_is_a_missing_value_where_there_may_be_one(client: TestClient) -> None:
    for position, column in enumerate(FEATURES):
        inputs = [dict(each) for each in REQUEST["inputs"]]
        inputs[position]["data"] = [inputs[position]["data"][0], math.nan]
        response = client.post(INFER, content=changed(inputs=inputs))
        if column.optional and column.kind == "float":
            assert response.status_code == 200
            assert "NaN" not in response.text
        else:
            assert error_of(response, 400).startswith(f"{column.name}: ")


def test_a_body_is_no_longer_than_it_may_be(client: TestClient) -> None:
    chunks: Iterator[bytes] = iter([b" " * 50_000] * 3)
    for content in (b" " * 100_001, chunks):
        assert error_of(client.post(INFER, content=content), 413)
    fits = json.dumps(REQUEST).encode().ljust(100_000)
    assert client.post(INFER, content=fits).status_code == 200
    assert client.post(INFER, content=iter([fits])).status_code == 200


def test_a_request_is_refused_that_cannot_be_answered_in_time(client: TestClient) -> None:
    for left, status in (("10000", 200), ("0", 503), ("", 400), ("-1", 400), ("1.5", 400)):
        headers = {"X-Request-Timeout-Ms": left}
        response = client.post(INFER, json=REQUEST, headers=headers)
        assert response.status_code == status, left
        assert response.headers.get("retry-after") == ("1" if status == 503 else None)
        assert ("error" in response.json()) == (status != 200)


def test_json_alone_is_read(client: TestClient) -> None:
    for header, value, status in (
        ("Content-Type", "application/json", 200),
        ("Content-Type", "Application/JSON; charset=utf-8", 200),
        ("Content-Type", "text/plain", 415),
        ("Content-Encoding", "gzip", 415),
        ("Inference-Header-Content-Length", "12", 400),
    ):
        response = client.post(INFER, content=json.dumps(REQUEST), headers={header: value})
        assert response.status_code == status, value


def test_a_prediction_that_is_not_finite_is_an_internal_error_that_is_logged(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [1.0, 1.0]

    def change(predictions: Predictions) -> Predictions:
        probabilities = np.full((len(predictions.values), 2), numbers)
        return Predictions(predictions.values, ["a", "b"], probabilities)

    client = serve(change)
    numbers[1] = math.nan
    response = client.post(INFER, json=REQUEST)
    assert error_of(response, 500) == "internal error"
    log = capsys.readouterr().out
    assert response.headers["x-request-id"] in log
    assert "ArithmeticError" in log


def test_the_request_id_is_logged_and_returned(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for good in ("abc-123", "Root:1-67._:x", "x" * 64):
        response = client.get("/v2", headers={"X-Request-ID": good})
        assert response.headers["x-request-id"] == good
        assert good in capsys.readouterr().out
    for strange in ("", "a b", "x" * 65, "\u00e9"):
        headers = {b"X-Request-ID": strange.encode("latin-1")}
        assert len(client.get("/v2", headers=headers).headers["x-request-id"]) == 16


def test_the_trace_is_logged_and_the_batch_told_to_those_who_record_it(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    told = []
    for flags in ("00", "01"):
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-{flags}"}
        told.append(client.post(INFER, json=REQUEST, headers=headers).json()["parameters"])
        assert f"trace_id={trace}" in capsys.readouterr().out
    unrecorded, recorded = told
    assert recorded.pop("batch_rows") == len(REQUEST["inputs"][0]["data"])
    assert recorded.pop("batch_queue_ms") >= 0
    assert recorded.pop("batch_compute_ms") > 0
    assert recorded == unrecorded
    client.get("/v2", headers={"traceparent": "nonsense"})
    assert re.search("trace_id=[0-9a-f]{32}$", capsys.readouterr().out)


def test_the_library_answers_like_the_server_and_warns_of_synthetic_data(
    client: TestClient, store: Store
) -> None:
    (found,) = entry_points(group="predictor.engine", name="library")
    assert found.load() is open_model
    for path in (store.path, str(store.path), store.folder()):
        with capture_logs() as lines:
            model = open_model(path)
        warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
        assert ["SYNTHETIC" in warning for warning in warnings] == [True]
        request = {**REQUEST, "id": "7"}
        assert model.infer(request) == client.post(INFER, json=request).json()
        assert model.metadata() == client.get(MODEL).json()
        with pytest.raises(ContractError):
            model.infer({})
    with pytest.raises(ModelError, match="make train"):
        open_model("nowhere")
