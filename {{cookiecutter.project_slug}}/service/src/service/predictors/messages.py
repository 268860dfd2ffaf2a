"""Between the port and the Open Inference Protocol: what all adapters share."""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError

from contract import FEATURES, TARGET, ContractError, Features, Prediction, signature
from contract.evolution import CALLER, OURS, Terms, differences
from contract.explanation import Explanation
from contract.tensors import inputs_of, predictions_of
from service.predictors.port import Answer, Batch, PredictorError, SelfTest

PAIR = TypeAdapter(tuple[FiniteFloat, FiniteFloat])
VERSION = re.compile(r"[\x21-\x7e]{1,100}")
Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
BATCH = TypeAdapter(tuple[Annotated[int, Field(ge=1, le=2**31)], Milliseconds, Milliseconds])


class _SelfTest(BaseModel):
    """The self-test of a version, as the model server sends it."""

    rows: list[Features]
    predictions: list[Prediction]


def request_of(features: Features, request_id: str) -> dict[str, Any]:
    """The inference request for one row."""
    return {"id": request_id, "parameters": CALLER, "inputs": inputs_of([features])}


def answer_of(response: object, request_id: str) -> Answer:
    """The answer in an inference response to the request with this id.

    Raises:
        PredictorError: it is not the answer to this request, or breaks the contract.
    """
    message = _object(response)
    parameters = _object(message.get("parameters") or {})
    _check_signature(parameters)
    if message.get("id") not in (None, request_id):
        _reject("the answer is to another request")
    version = message.get("model_version")
    if version is not None and not (isinstance(version, str) and VERSION.fullmatch(version)):
        _reject("the version is not a short text")
    try:
        predictions = predictions_of(message)
    except ContractError as error:
        _reject(str(error))
    if len(predictions) != 1:
        _reject(f"{len(predictions)} predictions for one row")
    return Answer(
        predictions[0], version, _fallback(parameters), _range(parameters), _batch(parameters)
    )


def explanation_of(answer: bytes) -> Explanation:
    """The explanation in this answer; raises PredictorError if it holds anything else."""
    try:
        return Explanation.model_validate_json(answer)
    except ValidationError:
        _reject("not an explanation")


def check_metadata(metadata: object) -> None:
    """Compare the contract of the model that this metadata describes with the service's.

    While one side is being replaced they may be two versions that understand each other. A server
    that knows no signatures is compared by the names and datatypes of its tensors.

    Raises:
        PredictorError: with the reason "signature" when they differ; otherwise for metadata that is
            none.
    """
    message = _object(metadata)
    parameters = _object(message.get("parameters") or {})
    if parameters.get("signature") is None:
        _check_tensors(message)
    elif parameters["signature"] != signature() and "contract" in parameters:
        try:
            faults = differences(OURS, Terms.parse(parameters["contract"]))
        except ContractError as error:
            _reject(str(error))
        if faults:
            fault = f"the model was built for another contract: {'; '.join(faults)}"
            raise PredictorError("signature", fault)
    else:
        _check_signature(parameters)


def self_test_of(metadata: object) -> SelfTest:
    """The self-test in this metadata.

    Raises:
        PredictorError: as `check_metadata`; "invalid_response" as well when there is none.
    """
    check_metadata(metadata)
    message = _object(metadata)
    versions = message.get("versions")
    if not isinstance(versions, list) or len(versions) != 1 or not isinstance(versions[0], str):
        _reject("the metadata does not name the one version that is served")
    try:
        test = _SelfTest.model_validate_json(_object(message.get("parameters") or {})["self_test"])
    except (KeyError, TypeError, ValidationError):
        _reject("the metadata holds no self-test: is it the model server of this release?")
    if not test.rows or len(test.rows) != len(test.predictions):
        _reject("the self-test does not have one prediction for each of its rows")
    return SelfTest(versions[0], test.rows, test.predictions)


def _batch(parameters: dict[str, Any]) -> Batch | None:
    """What is said of the batch; what is not sound is no reason to reject a prediction."""
    if "batch_rows" in parameters:
        found = [parameters.get(f"batch_{name}") for name in Batch._fields]
        with suppress(ValidationError):
            return Batch(*BATCH.validate_python(found))
    return None


# Parameters of the protocol are plain values, so these are JSON in a string.


def _fallback(parameters: dict[str, Any]) -> Prediction | None:
    text = parameters.get("fallback")
    try:
        return None if text is None else _prediction(text)
    except (TypeError, ValidationError):
        _reject("the fallback is not a prediction")


def _range(parameters: dict[str, Any]) -> tuple[float, float] | None:
    text = parameters.get("range")
    try:
        return None if text is None else _pair(text)
    except (TypeError, ValidationError):
        _reject("the range is not a pair of numbers")


@lru_cache(maxsize=4)  # all answers of a version have the same
def _prediction(text: str) -> Prediction:
    return Prediction.model_validate_json(text)


@lru_cache(maxsize=4)
def _pair(text: str) -> tuple[float, float]:
    return PAIR.validate_json(text)


def _object(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        _reject("not an object of the Open Inference Protocol")
    return message


def _reject(fault: str) -> NoReturn:
    raise PredictorError("invalid_response", fault) from None


def _check_signature(parameters: dict[str, Any]) -> None:
    theirs = parameters.get("signature")
    if theirs not in (None, signature()):
        raise PredictorError(
            "signature", f"the model was built for contract {theirs!r:.40}, not {signature()!r}"
        )


def _check_tensors(metadata: dict[str, Any]) -> None:
    for key, columns in (("inputs", FEATURES), ("outputs", (TARGET,))):
        tensors = metadata.get(key)
        theirs = {
            (tensor.get("name"), tensor.get("datatype"))
            for tensor in (tensors if isinstance(tensors, list) else [])
            if isinstance(tensor, dict)
        }
        ours = {(column.name, column.datatype) for column in columns}
        if not ours <= theirs or (key == "inputs" and ours != theirs):
            raise PredictorError("signature", f"the model's {key} are not those of the contract")
