"""The port: one suite over every way of reaching a model."""

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import (
    EXPECTED,
    GOLDEN,
    MODELS,
    OTHER,
    TOKEN,
    VERSION,
    FakeModel,
    FakeServer,
    first_row,
    install_library,
    serving,
    wait_until,
)

from contract import FEATURES, MODEL_NAME, TARGET, Features, Prediction, golden, signature
from service.predictors import Answer, Predictor, PredictorError, from_url

ROW = Features.model_validate(GOLDEN.features[0])


@dataclass
class Way:
    """One way of reaching a model: the model, the server in between, the URL."""

    model: FakeModel
    server: FakeServer
    url: str

    def predictor(
        self, url: str | None = None, token: str = TOKEN, timeout: float = 10
    ) -> Predictor:
        predictor = from_url(url or self.url, token=token, timeout=timeout, connections=2)
        predictor.open()
        return predictor


NETWORK = ["http", "http+unix"]
over_the_network = pytest.mark.parametrize("way", NETWORK, indirect=True)


@pytest.fixture(params=[*NETWORK, "library"])
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
    address = str(tmp_path / "model.sock") if "unix" in request.param else ("127.0.0.1", 0)
    with serving(address) as (server, url):
        yield Way(server.model, server, url)


def ask(predictor: Predictor) -> Answer:
    return predictor.predict(ROW, "r1")


def fault_of(call: Callable[[], object]) -> PredictorError:
    """The error of a call."""
    with pytest.raises(PredictorError) as caught:
        call()
    caught.value.__traceback__ = caught.value.__context__ = None  # they keep sockets alive
    return caught.value


def faults_of(predictor: Predictor) -> set[str]:
    """The reasons for which it neither predicts nor passes the check."""
    return {fault_of(call).reason for call in (lambda: ask(predictor), predictor.check)}


def test_an_answer_has_a_prediction_its_version_and_the_fallback(way: Way) -> None:
    assert ask(way.predictor()) == Answer(EXPECTED, VERSION, OTHER)
    (request,) = way.model.requests
    assert request["id"] == "r1"
    way.predictor().check()


def test_the_golden_request_is_sent(way: Way) -> None:
    predictor = way.predictor()
    for row in GOLDEN.features:
        predictor.predict(Features.model_validate(row), "r1")
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
    way.predictor().check()
    assert ask(way.predictor()) == Answer(EXPECTED, VERSION, None)
    other = [{"name": column.name, "datatype": "FP16"} for column in FEATURES]
    for key, value in (("inputs", other), ("inputs", []), ("outputs", []), ("outputs", "x")):
        way.model.changes = {"parameters": {}, key: value}
        assert fault_of(way.predictor().check).reason == "signature"


def test_another_contract(way: Way) -> None:
    way.model.changes = {"parameters": {"signature": "0123456789abcdef"}}
    assert faults_of(way.predictor()) == {"signature"}
    assert signature() in str(fault_of(way.predictor().check))


def test_a_model_that_is_not_there(way: Way) -> None:
    url = way.url.replace("artifacts", "elsewhere").replace(".sock", ".other")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # where no server listens, nor can start to
        if "://127" in url:
            url = f"{url.rpartition(':')[0]}:{silent.getsockname()[1]}"
        assert faults_of(way.predictor(url)) == {"unreachable"}


def test_too_slow(way: Way) -> None:
    predictor = way.predictor(timeout=0.25)
    way.model.released.clear()
    assert faults_of(predictor) == {"timeout"}
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


@over_the_network
def test_the_wrong_token(way: Way) -> None:
    predictor = way.predictor(token="another")
    assert faults_of(predictor) == {"unauthorized"}
    assert "MODEL_TOKENS" in str(fault_of(predictor.check))


@over_the_network
def test_the_request_id_is_sent(way: Way) -> None:
    ask(way.predictor())
    assert way.server.headers["X-Request-ID"] == "r1"


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
    predictor.check()
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
    ],
)
def test_an_invalid_url(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        from_url(url, token=None, timeout=1, connections=1)
