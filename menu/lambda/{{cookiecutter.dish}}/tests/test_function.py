"""The package with the real runtime client: every parity row, and the service's own questions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lambdas import PACKAGE, TOKEN, FunctionUrl, RuntimeApi, event_of, function
from parity import Row, batches, tensors
from servers import JSON, ROOT, place, product

from contract import MODEL_NAME
from contract.tensors import predictions_of
from contract.tolerance import check_predictions

INFER = f"/v2/models/{MODEL_NAME}/infer"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}", **JSON}


def requests() -> Iterator[tuple[bytes, list[Row]]]:
    """The body of a request for each batch of the parity rows, and what is predicted."""
    for rows, expected in batches():
        yield json.dumps({"inputs": tensors(rows)}).encode(), expected


@pytest.fixture(scope="module")
def api() -> Iterator[RuntimeApi]:
    with function() as running:
        yield running


@pytest.fixture(scope="module")
def version() -> str:
    (folder,) = (PACKAGE / "artifacts").iterdir()
    return folder.name


def test_every_parity_row(api: RuntimeApi, version: str) -> None:
    for body, expected in requests():
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
    body, _ = next(requests())
    assert api.invoke(event_of("POST", INFER, late, body))["statusCode"] == 503
    assert api.invoke(event_of("GET", "/nowhere", AUTHORIZED))["statusCode"] == 404


def test_an_event_of_a_rest_api(api: RuntimeApi, version: str) -> None:
    """Payload 1.0, after the example in the documentation of API Gateway."""
    body, expected = next(requests())
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

    body, expected = next(requests())
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


def test_the_product_is_served_by_the_function(
    api: RuntimeApi, version: str, tmp_path: Path
) -> None:
    with FunctionUrl(api).running() as address:
        model = {"MODEL_URL": f"http://{address}", "MODEL_TOKENS": TOKEN}
        with product(tmp_path, ROOT / "service/.venv", **model) as service:
            metadata = place(service)
    assert (metadata["served_by"], metadata["model_version"]) == ("model", version)
