"""The private API, word for word: what it answers, what it refuses, and to whom."""

import copy
import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import INFER, REQUEST, TOKENS, client_of, make_history
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from contract import FEATURES, MODEL_NAME, TARGET, Features, examples, golden, signature
from contract.tensors import inputs_of, predictions_of
from model.answer import Answer, Columns
from model.engine import Engine
from model.errors import ModelError
from model.server import create_app
from model.settings import Settings
from model.store import Store

MODEL = f"/v2/models/{MODEL_NAME}"
CLASSIFICATION = TARGET.datatype != "FP64"
OUTPUTS = [TARGET.name, *(["probabilities"] if CLASSIFICATION else [])]


def test_health_needs_no_token_and_says_both_words(client: TestClient) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        response = client.get(path, headers={"Authorization": ""})
        assert (response.status_code, response.json()) == (200, {"live": True, "ready": True})


@pytest.mark.parametrize(
    "path",
    ["/v2", MODEL, f"{MODEL}/ready", INFER, "/openapi.json", "/", "/v2/health", "/v2/health/live/"],
)
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer \u00e9",
        f"Bearer {TOKENS[0]}x",
        f"Bearer {TOKENS[0][:-1]}",
        f"Bearer {','.join(TOKENS)}",
        f"Basic {TOKENS[0]}",
        TOKENS[0],
    ],
)
def test_nothing_is_said_to_who_has_no_token(
    authorization: str, path: str, client: TestClient
) -> None:
    headers = {b"Authorization": authorization.encode("latin-1")}
    response = client.post(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_is_accepted(token: str, client: TestClient) -> None:
    for scheme in ("Bearer", "bearer"):
        response = client.get("/v2", headers={"Authorization": f"{scheme} {token}"})
        assert response.status_code == 200


def test_there_is_no_server_without_a_token(settings: Settings) -> None:
    with pytest.raises(ModelError, match="MODEL_TOKENS"):
        create_app(settings.model_copy(update={"model_tokens": ()}))


def test_metadata(client: TestClient, store: Store) -> None:
    version = store.current()
    for path in (MODEL, f"{MODEL}/versions/{version}"):
        body = client.get(path).json()
        assert (body["name"], body["versions"]) == (MODEL_NAME, [version])
        assert [(each["name"], each["datatype"]) for each in body["inputs"]] == [
            (each.name, each.datatype) for each in FEATURES
        ]
        assert [each["name"] for each in body["outputs"]] == OUTPUTS
        assert body["parameters"] == {
            "signature": signature(),
            "version": version,
            "fallback": store.read().fallback,
        }
        assert client.get(f"{path}/ready").json() == {"name": MODEL_NAME, "ready": True}
    assert client.get("/v2").json()["name"]


@pytest.mark.parametrize(
    "path", ["/v2/models/other", f"{MODEL}/versions/000000000000", f"{MODEL}/versions/\u00e9"]
)
def test_another_model_or_version_is_not_found(path: str, client: TestClient) -> None:
    for response in (
        client.get(path),
        client.get(f"{path}/ready"),
        client.post(f"{path}/infer", json=REQUEST),
    ):
        assert response.status_code == 404
        assert "unknown" in response.json()["error"]


@pytest.mark.parametrize("path", ["/", "/v2/", "/v2/models", f"{MODEL}/", f"{INFER}/", "/docs"])
def test_another_route_is_not_found(path: str, client: TestClient) -> None:
    response = client.get(path, follow_redirects=False)
    assert response.status_code == 404
    assert set(response.json()) == {"error"}


def test_another_method_is_not_allowed(client: TestClient) -> None:
    for method, path in (("GET", INFER), ("PUT", INFER), ("DELETE", MODEL), ("POST", "/v2")):
        response = client.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"]
        assert set(response.json()) == {"error"}


@pytest.mark.parametrize("where", ["on the loop", "in the thread", "by scikit-learn"])
def test_a_batch_is_answered_as_the_engine_answers_it(
    where: str,
    settings: Settings,
    store: Store,
    uncompiled_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if where == "by scikit-learn":
        store = uncompiled_store
    if where == "in the thread":
        monkeypatch.setattr("model.server.SHORT", 10)
    client = client_of(settings.model_copy(update={"model_store": store.path}))
    columns = make_history(50).columns
    rows = [
        Features(**dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    engine = Engine.load(store.folder())
    expected = engine.predict(columns).rows(engine.manifest.classes)
    for path in (INFER, f"{MODEL}/versions/{store.current()}/infer"):
        content = json.dumps({"id": "7\ud83d", "inputs": inputs_of(rows)})
        response = client.post(path, content=content)
        body = response.json()
        assert response.status_code == 200
        assert [row.model_dump() for row in predictions_of(body)] == expected
        assert body["model_name"] == MODEL_NAME
        assert body["model_version"] == store.current()
        assert body["parameters"] == {"signature": signature()}
        assert body["id"] == "7\ud83d"
        assert [each["name"] for each in body["outputs"]] == OUTPUTS


def test_others_are_answered_while_the_model_is_busy(
    settings: Settings, uncompiled_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, go, predict = threading.Event(), threading.Event(), Engine.predict

    def slow(engine: Engine, columns: Columns) -> Answer:
        busy.set()
        assert go.wait(10)
        return predict(engine, columns)

    uncompiled = settings.model_copy(update={"model_store": uncompiled_store.path})
    with client_of(uncompiled) as client, ThreadPoolExecutor(1) as others:
        monkeypatch.setattr(Engine, "predict", slow)
        late = others.submit(client.post, INFER, json=REQUEST)
        assert busy.wait(10)
        assert client.get("/v2/health/ready").status_code == 200
        assert client.post(INFER, json={}).status_code == 400
        assert not late.done()
        go.set()
        assert late.result().status_code == 200


def test_examples_are_answered(client: TestClient) -> None:
    for example in examples():
        row = Features(**{name: value for name, value in example.items() if name != TARGET.name})
        response = client.post(INFER, json={"inputs": inputs_of([row])})
        assert len(predictions_of(response.json())) == 1
        assert "id" not in response.json()


@pytest.mark.parametrize("exchange", golden(), ids=lambda exchange: str(exchange.number))
def test_golden_requests(client: TestClient, exchange: Any) -> None:
    response = client.post(INFER, json=exchange.request)
    if response.status_code == 200:
        assert len(predictions_of(response.json())) == len(exchange.features)
    else:
        assert exchange is not golden()[-1], response.text
        assert response.status_code == 400
        names = {each["name"] for each in exchange.request["inputs"]}
        names |= {each.name for each in FEATURES}
        assert response.json()["error"].partition(":")[0] in names


def test_only_the_outputs_that_were_asked_for_are_answered(client: TestClient) -> None:
    for name in OUTPUTS:
        wanted = [{"name": name, "parameters": {"binary_data": False}}]
        response = client.post(INFER, json={**REQUEST, "outputs": wanted, "parameters": {}})
        assert [each["name"] for each in response.json()["outputs"]] == [name]
    response = client.post(INFER, json={**REQUEST, "outputs": []})
    assert [each["name"] for each in response.json()["outputs"]] == OUTPUTS


def _changed(**changes: Any) -> bytes:
    return json.dumps({**REQUEST, **changes}).encode()


def _tensor(**changes: Any) -> bytes:
    request = copy.deepcopy(REQUEST)
    request["inputs"][0].update(changes)
    return json.dumps(request).encode()


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b'{"\xff": 1}', "not JSON"),
    "many digits": (b'{"inputs": ' + b"1" * 5000 + b"}", "integer of too many digits"),
    "deep": (b"[" * 50_000, "nested"),
    "no object": (b"[]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "no inputs": (b"{}", "inputs"),
    "inputs of nothing": (_changed(inputs=[]), ""),
    "a number as id": (_changed(id=7), "`id`"),
    "null as id": (_changed(id=None), "`id`"),
    "parameters in a list": (_changed(parameters=[]), "`parameters`"),
    "outputs in an object": (_changed(outputs={}), "`outputs`"),
    "an output without a name": (_changed(outputs=[{}]), "outputs[0]"),
    "an unknown output": (_changed(outputs=[{"name": "nobody"}]), "nobody"),
    "an unknown tensor": (_tensor(name="nobody"), "nobody"),
    "a wrong datatype": (_tensor(datatype="FP16"), FEATURES[0].name),
    "a wrong shape": (_tensor(shape=[3]), FEATURES[0].name),
    "a wrong type": (_tensor(data=[[], {}]), FEATURES[0].name),
    "infinity": (_tensor(data=[math.inf, math.inf]), FEATURES[0].name),
    "no row": (_tensor(shape=[0], data=[]), FEATURES[0].name),
}


@pytest.mark.parametrize(("body", "fault"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_refused(body: bytes, fault: str, client: TestClient) -> None:
    response = client.post(INFER, content=body)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert fault in response.json()["error"]
    assert "sys." not in response.json()["error"]
    assert len(response.content) < 2000


@pytest.mark.parametrize("position", range(len(FEATURES)), ids=[each.name for each in FEATURES])
def test_nan_and_null_are_refused_where_a_value_must_be(position: int, client: TestClient) -> None:
    for value in (math.nan, None):
        request = copy.deepcopy(REQUEST)
        request["inputs"][position]["data"][1] = value
        response = client.post(INFER, content=json.dumps(request))
        column = FEATURES[position]
        if column.optional and (value is None or column.datatype == "FP64"):
            assert response.status_code == 200
            assert "NaN" not in response.text
        else:
            assert response.status_code == 400
            assert response.json()["error"].startswith(f"{column.name}: ")


@hypothesis_settings(deadline=None, max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["inputs", "outputs", "name", "shape", "data", "id"]), inner
            )
        ),
    )
)
def test_nonsense_is_refused(client: TestClient, message: object) -> None:
    response = client.post(INFER, content=json.dumps(message))
    assert response.status_code == 400
    assert set(response.json()) == {"error"}


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    long = b" " * 100_001
    chunks: Iterator[bytes] = iter([b" " * 50_000] * 3)
    for content in (long, chunks):
        response = client.post(INFER, content=content)
        assert response.status_code == 413
        assert set(response.json()) == {"error"}
    fits = json.dumps(REQUEST).encode().ljust(100_000)
    assert client.post(INFER, content=fits).status_code == 200
    assert client.post(INFER, content=iter([fits])).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Inference-Header-Content-Length": "12"}, 400),
    ],
)
def test_only_json_is_read(headers: dict[str, str], status: int, client: TestClient) -> None:
    content = json.dumps(REQUEST).encode()
    assert client.post(INFER, content=content, headers=headers).status_code == status
    assert client.post(INFER, content=content).status_code == 200  # no type is taken for JSON


def test_what_goes_wrong_in_here_is_logged_and_not_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(engine: Engine, columns: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Engine, "predict", fail)
    response = client.post(INFER, json=REQUEST)
    assert (response.status_code, response.json()) == (500, {"error": "internal error"})
    assert response.headers["x-request-id"] in capsys.readouterr().out


def test_a_model_that_answers_no_number_is_an_error_in_here(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [[math.nan, 1.0]] * 2
    monkeypatch.setattr("model.answer.Answer.is_finite", lambda answer: not answers)
    assert client.post(INFER, json=REQUEST).status_code == 500


def test_the_request_id_comes_back_and_is_logged(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for good in ("abc-123", "Root:1-67._:x", "x" * 64):
        response = client.get("/v2", headers={"X-Request-ID": good})
        assert response.headers["x-request-id"] == good
        assert good in capsys.readouterr().out
    for strange in ("", "a b", "x" * 65, "\u00e9"):
        headers = {b"X-Request-ID": strange.encode("latin-1")}
        assert len(client.get("/v2", headers=headers).headers["x-request-id"]) == 16
