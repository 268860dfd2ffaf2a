"""`MODEL_URL=sagemaker://…` through botocore's real client: to the container, and to moto."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from conftest import KEYS, REGION, URL, Runtime
from moto.server import ThreadedMotoServer
from servers import DISH, place, product, reserved_port

from contract import Features, golden
from contract.tolerance import check_predictions
from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import Access, Predictor, PredictorError, from_url

GOLDEN = golden()[-1]
ROW = Features.model_validate(GOLDEN.features[0])


def context(seconds: float = 10) -> RequestContext:
    return RequestContext("r1", monotonic() + seconds, Trace.of(""))


def ask(predictor: Predictor, seconds: float = 10) -> Any:
    return predictor.predict(ROW, context(seconds))


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(PredictorError) as caught:
        call()
    return caught.value.reason


def test_an_answer_is_that_of_the_model_server(
    predictor: Predictor, runtime: Runtime, version: str
) -> None:
    test = predictor.self_test(monotonic() + 10)
    assert test.version == version
    answers = [predictor.predict(row, context()) for row in test.rows]
    check_predictions(
        [each.prediction.model_dump() for each in answers],
        [each.model_dump() for each in test.predictions],
    )
    assert answers[0].version == version
    assert answers[0].fallback
    assert "x-request-id=r1" in runtime.attributes[-1]
    assert "traceparent=00-" in runtime.attributes[-1]
    assert runtime.connections == 1  # which is kept


def test_what_operators_ask(predictor: Predictor, version: str) -> None:
    deadline = monotonic() + 20
    predictor.check(deadline)
    assert b"model_version_info" in (predictor.query("metrics", deadline) or b"")
    assert version in str(predictor.query("versions", deadline))
    assert json.loads(predictor.query("explain", deadline, ROW) or b"")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ((424, "ModelError", {"OriginalStatusCode": 503}), "overloaded"),
        ((424, "ModelError", {"OriginalStatusCode": 400}), "error"),
        ((424, "ModelError", {"OriginalStatusCode": 500}), "error"),
        ((424, "ModelError", {}), "error"),
        ((429, "ModelNotReadyException", {}), "overloaded"),
        ((400, "ThrottlingException", {}), "overloaded"),
        ((503, "ServiceUnavailable", {}), "overloaded"),
        ((429, "TooManyRequests", {}), "overloaded"),
        ((500, "InternalFailure", {}), "error"),
        ((530, "InternalDependencyException", {}), "error"),
        ((400, "ValidationError", {}), "error"),
        ((403, "AccessDeniedException", {}), "unauthorized"),
        ((403, "ExpiredTokenException", {}), "unauthorized"),
    ],
)
def test_an_error_of_sagemaker(
    predictor: Predictor, runtime: Runtime, fault: tuple[int, str, dict[str, Any]], reason: str
) -> None:
    runtime.fault = fault
    assert reason_of(lambda: ask(predictor)) == reason
    assert reason_of(lambda: predictor.check(monotonic() + 10)) == reason


def test_what_the_container_has_not(predictor: Predictor, runtime: Runtime) -> None:
    runtime.fault = (424, "ModelError", {"OriginalStatusCode": 404})
    assert predictor.query("versions", monotonic() + 10) is None
    assert reason_of(lambda: ask(predictor)) == "error"


def test_another_key(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    predictor = from_url(URL, access=Access(), connections=1)
    assert reason_of(lambda: ask(predictor)) == "unauthorized"
    assert not runtime.attributes


def test_no_credentials(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    predictor = from_url(URL, access=Access(), connections=1)
    assert reason_of(lambda: ask(predictor)) == "unauthorized"


def test_the_deadline_binds_the_caller_and_the_connection(
    predictor: Predictor, runtime: Runtime
) -> None:
    runtime.hanging = 4
    for _ in range(4):  # by two threads, each of which is free again
        assert reason_of(lambda: ask(predictor, 0.2)) == "timeout"
    assert ask(predictor).version
    assert reason_of(lambda: ask(predictor, 0)) == "timeout"


def test_the_time_left_is_sent(predictor: Predictor, runtime: Runtime) -> None:
    ask(predictor, 5)
    (left,) = (
        int(each.partition("=")[2])
        for each in runtime.attributes[-1].split("&")
        if each.startswith("x-request-timeout-ms")
    )
    assert 1000 < left <= 5000


def test_a_connection_that_was_closed_is_made_anew(predictor: Predictor, runtime: Runtime) -> None:
    ask(predictor)
    runtime.dropped = 1
    assert ask(predictor).version
    runtime.dropped = 2
    assert reason_of(lambda: ask(predictor)) == "unreachable"


def test_nobody_listens(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{port}")
        predictor = from_url(URL, access=Access(), connections=1)
        assert reason_of(lambda: ask(predictor)) == "unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "sagemaker:waits?region=eu-central-1",
        "sagemaker://?region=eu-central-1",
        "sagemaker://two_words?region=eu-central-1",
        "sagemaker://waits/path?region=eu-central-1",
        "sagemaker://waits?regoin=eu-central-1",
        "sagemaker://waits?region=a%20b",
        "sagemaker://waits",
    ],
)
def test_an_invalid_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(ValueError, match=r"SageMaker|sagemaker"):
        from_url(url, access=Access(), connections=1)


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {**KEYS, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}.items():
        monkeypatch.setenv(name, value)
    yield url
    server.stop()


def test_answers_of_moto(moto: str) -> None:
    predictor = from_url(f"sagemaker://waits?region={REGION}", access=Access(), connections=1)
    assert reason_of(lambda: ask(predictor)) == "invalid_response"  # moto's default, `body`
    response = json.loads(json.dumps(GOLDEN.response))
    response |= {"id": "r1", "model_version": "7"}
    for tensor in response["outputs"]:
        rows, *width = tensor["shape"]
        tensor["data"] = tensor["data"][: len(tensor["data"]) // rows]
        tensor["shape"] = [1, *width]
    results = {"region": REGION, "results": [{"Body": json.dumps(response)}]}
    request = urllib.request.Request(
        f"{moto}/moto-api/static/sagemaker/endpoint-results", json.dumps(results).encode()
    )
    urllib.request.urlopen(request).close()
    answer = ask(predictor)
    assert answer.prediction.model_dump() == GOLDEN.predictions[0]
    assert answer.version == "7"


def test_the_product_is_served_by_the_endpoint(
    runtime: Runtime, version: str, tmp_path: Path
) -> None:
    with product(tmp_path, DISH / ".venv", MODEL_URL=URL) as service:
        metadata = place(service)
    assert (metadata["served_by"], metadata["model_version"]) == ("model", version)
