"""The port: one suite over every way of reaching a model."""

import gc
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from support import (
    EXPECTED,
    EXPLANATION,
    GOLDEN,
    METRICS,
    MODELS,
    OTHER,
    TOKEN,
    VERSION,
    VERSIONS,
    FakeModel,
    FakeServer,
    context_of,
    first_row,
    install_library,
    serving,
    wait_until,
)

from contract import FEATURES, MODEL_NAME, TARGET, Features, Prediction, golden, signature
from contract.tensors import inputs_of
from service.predictors import Access, Answer, Predictor, PredictorError, SelfTest, from_url
from service.predictors.messages import explanation_of

ROW = Features.model_validate(GOLDEN.features[0])


@dataclass
class Way:
    """One way of reaching a model: the model, the server in between, the URL."""

    model: FakeModel
    server: FakeServer
    url: str

    def predictor(
        self, url: str | None = None, tokens: Sequence[str] = (TOKEN,), **access: Any
    ) -> Predictor:
        granted = Access(lambda: tokens, **access)
        predictor = from_url(url or self.url, access=granted, connections=2)
        predictor.open()
        return predictor


NETWORK = ["http", "http+unix"]
over_the_network = pytest.mark.parametrize("way", NETWORK, indirect=True)


@pytest.fixture(params=[*NETWORK, "library", pytest.param("subprocess", marks=pytest.mark.slow)])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    if request.param == "library":
        install_library(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        MODELS["artifacts"] = FakeModel()
        yield Way(MODELS["artifacts"], FakeServer(), "library:artifacts")
        MODELS.clear()
        return
    is_child = request.param == "subprocess"
    at_path = is_child or "unix" in request.param
    address = str(tmp_path / "model.sock") if at_path else ("127.0.0.1", 0)
    with serving(address, is_child=is_child) as (server, url):
        yield Way(server.model, server, url)
        if is_child:
            gc.collect()  # stops the children of what errors have kept


def ask(predictor: Predictor, request_id: str = "r1", seconds: float = 10) -> Answer:
    return predictor.predict(ROW, context_of(request_id, seconds))


def check(predictor: Predictor, seconds: float = 10) -> None:
    predictor.check(monotonic() + seconds)


def fault_of(call: Callable[[], object]) -> PredictorError:
    """The error of a call."""
    with pytest.raises(PredictorError) as caught:
        call()
    caught.value.__traceback__ = caught.value.__context__ = None  # they keep sockets alive
    return caught.value


def faults_of(predictor: Predictor, seconds: float = 10) -> set[str]:
    """The reasons for which it neither predicts nor passes the check."""
    asked = fault_of(lambda: ask(predictor, seconds=seconds))
    return {asked.reason, fault_of(lambda: check(predictor, seconds)).reason}


def test_a_server_tells_its_metrics_and_a_library_has_none(way: Way) -> None:
    expected = None if way.url.startswith("library:") else METRICS
    assert way.predictor().query("metrics", monotonic() + 10) == expected


def test_a_prediction_is_explained_and_versions_are_told(way: Way) -> None:
    predictor = way.predictor()
    answer = predictor.query("explain", monotonic() + 10, ROW)
    assert explanation_of(answer or b"") == explanation_of(way.model.explanation)
    assert way.model.requests[-1]["inputs"] == inputs_of([ROW])
    assert predictor.query("versions", monotonic() + 10) == VERSIONS
    way.model.fault = RuntimeError("out of order")
    assert fault_of(lambda: predictor.query("explain", monotonic() + 10, ROW)).reason == "error"
    assert fault_of(lambda: predictor.query("versions", monotonic() + 10)).reason == "error"


@over_the_network
def test_another_server_explains_nothing(way: Way) -> None:
    way.server.more = set()
    assert way.predictor().query("explain", monotonic() + 10, ROW) is None
    assert way.predictor().query("versions", monotonic() + 10) is None


@pytest.mark.parametrize("broken", [b"", b"[]", b"{}", b'"x"', b"\xff"])
def test_an_invalid_explanation(broken: bytes) -> None:
    changed = EXPLANATION.model_dump_json().replace("1.5", "NaN", 1).encode()
    for answer in (broken, changed):
        assert fault_of(partial(explanation_of, answer)).reason == "invalid_response"


def test_an_answer_has_a_prediction_its_version_and_the_fallback(way: Way) -> None:
    assert ask(way.predictor()) == Answer(EXPECTED, VERSION, OTHER)
    (request,) = way.model.requests
    assert request["id"] == "r1"
    check(way.predictor())


@over_the_network
def test_the_id_and_the_trace_of_the_request_are_sent_along(way: Way) -> None:
    context = context_of("r1")
    way.predictor().predict(ROW, context)
    sent = {name.lower(): value for name, value in way.server.headers.items()}
    assert {"x-request-id": "r1", **context.trace.headers()}.items() <= sent.items()


def test_the_batch_is_known_if_the_server_tells_it(way: Way) -> None:
    sound = {"batch_rows": 3, "batch_queue_ms": 0.5, "batch_compute_ms": 2}
    way.model.changes = {"parameters": sound}
    assert ask(way.predictor()).batch == (3, 0.5, 2)
    for odd in ({"batch_rows": 0}, {"batch_queue_ms": -1}, {"batch_compute_ms": None}):
        way.model.changes = {"parameters": {**sound, **odd}}
        answer = ask(way.predictor())
        assert (answer.prediction, answer.batch) == (EXPECTED, None)


def test_the_golden_request_is_sent(way: Way) -> None:
    predictor = way.predictor()
    for row in GOLDEN.features:
        predictor.predict(Features.model_validate(row), context_of())
    sent = [request["inputs"] for request in way.model.requests]
    for position, tensor in enumerate(GOLDEN.request["inputs"]):
        one, two = (inputs[position] for inputs in sent)
        assert one["data"] + two["data"] == tensor["data"]
        for each in (one, two):
            assert {**each, "shape": [2], "data": tensor["data"]} == tensor


def test_golden_responses_are_read_as_long_as_the_target_is_the_same(way: Way) -> None:
    for version in golden():
        way.model.changes = first_row(version.response)
        if version.columns[-1] == GOLDEN.columns[-1]:
            prediction = Prediction.model_validate(version.predictions[0])
            assert ask(way.predictor()).prediction == prediction
        else:
            assert fault_of(lambda: ask(way.predictor())).reason == "invalid_response"


def test_a_server_without_signatures_is_compared_by_its_tensors(way: Way) -> None:
    way.model.changes = {"parameters": None}
    check(way.predictor())
    assert ask(way.predictor()) == Answer(EXPECTED, VERSION, None)
    other = [{"name": column.name, "datatype": "FP16"} for column in FEATURES]
    for key, value in (("inputs", other), ("inputs", []), ("outputs", []), ("outputs", "x")):
        way.model.changes = {"parameters": {}, key: value}
        assert fault_of(lambda: check(way.predictor())).reason == "signature"


def test_what_the_version_was_tested_with(way: Way) -> None:
    predictor = way.predictor()

    def tested() -> SelfTest:
        return predictor.self_test(monotonic() + 10)

    assert tested() == SelfTest(VERSION, [ROW], [EXPECTED])
    rows, predictions = way.model.self_test.values()
    tests: list[dict[str, list[Any]]] = [
        {},
        {"rows": rows},
        {"rows": [], "predictions": []},
        {"rows": rows * 2, "predictions": predictions},
        {"rows": [{"unknown": 1}], "predictions": predictions},
        {"rows": rows, "predictions": [{}]},
    ]
    for way.model.self_test in tests:
        assert fault_of(tested).reason == "invalid_response"
    changes: list[dict[str, Any]] = [
        {"versions": None},
        {"versions": ["1", "2"]},
        {"parameters": {}},
    ]
    for way.model.changes in changes:
        assert fault_of(tested).reason == "invalid_response"
    way.model.changes = {"parameters": {"signature": "0123456789abcdef"}}
    assert fault_of(tested).reason == "signature"


def test_another_contract(way: Way) -> None:
    way.model.changes = {"parameters": {"signature": "0123456789abcdef"}}
    assert faults_of(way.predictor()) == {"signature"}
    assert signature() in str(fault_of(lambda: check(way.predictor())))


def test_a_model_that_is_not_there(way: Way) -> None:
    url = way.url.replace("artifacts", "elsewhere").replace(".sock", ".other")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # where no server listens, nor can start to
        if "://127" in url:
            url = f"{url.rpartition(':')[0]}:{silent.getsockname()[1]}"
        assert faults_of(way.predictor(url)) == {"unreachable"}


def test_too_slow(way: Way) -> None:
    predictor = way.predictor()
    way.model.released.clear()
    assert faults_of(predictor, seconds=0.25) == {"timeout"}
    way.model.released.set()

    def answers() -> bool:
        with suppress(PredictorError):  # on a machine that is busy
            return ask(predictor).prediction == EXPECTED
        return False

    wait_until(answers)


def test_a_failure_over_there(way: Way) -> None:
    way.model.fault = RuntimeError("out of order")
    assert faults_of(way.predictor()) == {"error"}


@pytest.mark.parametrize(
    "output",
    [
        {"data": [None]},
        {"data": []},
        {"data": [math.nan]},
        {"data": [[]]},
        {"data": ["\x00"]},
        {"shape": [2], "data": [EXPECTED.model_dump()[TARGET.name]] * 2},
        {"datatype": "FP16"},
        {"name": "somebody_else"},
        {"shape": None},
    ],
)
def test_an_invalid_output(way: Way, output: dict[str, Any]) -> None:
    way.model.output = output
    assert fault_of(lambda: ask(way.predictor())).reason == "invalid_response"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "r2"},
        {"outputs": None},
        {"outputs": []},
        {"parameters": "x"},
        *({"model_version": version} for version in (7, "a b", "x" * 1000)),
    ],
)
def test_an_invalid_response(way: Way, changes: dict[str, Any]) -> None:
    way.model.changes = changes
    assert fault_of(lambda: ask(way.predictor())).reason == "invalid_response"


@pytest.mark.parametrize("fallback", [7, {}, "", "{}", '{"x": 1}', "[]"])
def test_an_invalid_fallback(way: Way, fallback: object) -> None:
    way.model.changes = {"parameters": {"fallback": fallback}}
    assert fault_of(lambda: ask(way.predictor())).reason == "invalid_response"


@pytest.mark.parametrize("invalid", [7, "", "[]", "[1]", '["a", 2]', "[1, 2, 3]", "[NaN, 1]"])
def test_an_invalid_range(way: Way, invalid: object) -> None:
    way.model.changes = {"parameters": {"range": "[1, 2.5]"}}
    assert ask(way.predictor()).range == (1, 2.5)
    way.model.changes = {"parameters": {"range": invalid}}
    assert fault_of(lambda: ask(way.predictor())).reason == "invalid_response"


@over_the_network
def test_the_wrong_token(way: Way) -> None:
    predictor = way.predictor(tokens=["another"])
    assert faults_of(predictor) == {"unauthorized"}
    assert "MODEL_TOKENS" in str(fault_of(lambda: check(predictor)))


@over_the_network
def test_of_two_tokens_either_may_be_the_one(way: Way) -> None:
    predictor = way.predictor(tokens=["another", TOKEN])
    assert ask(predictor)
    assert ask(predictor)
    assert len(way.model.requests) == 3  # the second time the right one was sent at once


@over_the_network
def test_the_request_id_and_the_time_left_are_sent(way: Way) -> None:
    ask(way.predictor(), seconds=5)
    assert way.server.headers["X-Request-ID"] == "r1"
    assert 1000 < int(way.server.headers["X-Request-Timeout-Ms"]) < 5000


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="Linux alone tells")
@pytest.mark.parametrize("way", ["http+unix"], indirect=True)
def test_a_server_of_another_user_is_told_nothing(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert faults_of(way.predictor()) == {"unauthorized"}
    assert not way.server.headers
    assert ask(way.predictor(peers=(me,)))


def test_other_hosts_are_not_called_in_the_clear() -> None:
    for url in ("http://127.0.0.2:1", "http://[::1]:1", "http://localhost"):
        assert from_url(url, access=Access(), connections=1)
    with pytest.raises(ValueError, match="MODEL_PLAINTEXT"):
        from_url("http://10.0.0.1", access=Access(), connections=1)
    assert from_url("http://10.0.0.1", access=Access(plaintext=True), connections=1)


@pytest.mark.parametrize("way", ["http"], indirect=True)
def test_another_model_on_a_server(way: Way) -> None:
    assert ask(way.predictor(f"{way.url}/v2/models/{MODEL_NAME}"))
    predictor = way.predictor(f"{way.url}/v2/models/somebody")
    assert fault_of(lambda: ask(predictor)).reason == "error"


@pytest.mark.parametrize("way", ["library"], indirect=True)
def test_an_artifact_that_comes_later_is_opened_by_the_readiness_check(way: Way) -> None:
    predictor = way.predictor("library:later")
    assert fault_of(lambda: ask(predictor)).reason == "unreachable"
    MODELS["later"] = FakeModel()
    assert fault_of(lambda: ask(predictor)).reason == "unreachable"
    check(predictor)
    assert ask(predictor)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        *((url, "must begin") for url in ("", "run/model.sock", "ftp://host")),
        ("http+unix://", "socket"),
        *((url, "http://host:port") for url in ("http://", "http:model", "https://user:pw@host")),
        ("http://host:port", "ort"),
        ("library:", "folder"),
        ("library:artifacts", r"predictor\.engine"),
        ("subprocess:no/such/model", r"no command 'no/such/model'"),
    ],
)
def test_an_invalid_url(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        from_url(url, access=Access(), connections=1)


def test_a_package_brings_another_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="must begin"):
        from_url("spare:artifacts", access=Access(), connections=1)
    install_library(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert from_url("spare:artifacts", access=Access(), connections=1)
    with pytest.raises(ValueError, match="subprocess:, spare:"):
        from_url("other:artifacts", access=Access(), connections=1)
