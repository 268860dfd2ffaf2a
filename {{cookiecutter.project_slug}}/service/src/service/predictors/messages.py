"""Between the port and the Open Inference Protocol: what all adapters share."""

import re
from typing import Any

from pydantic import ValidationError

from contract import FEATURES, TARGET, ContractError, Features, Prediction, signature
from contract.tensors import inputs_of, predictions_of
from service.predictors.port import Answer, Description, PredictorError

VERSION = re.compile(r"[\x21-\x7e]{1,100}")


def request_of(features: Features, request_id: str) -> dict[str, Any]:
    """The inference request for one row."""
    return {"id": request_id, "inputs": inputs_of([features])}


def answer_of(response: object, request_id: str) -> Answer:
    """The answer in an inference response to that request.

    Raises:
        PredictorError: it is no answer to it, or not in our contract.
    """
    message = _object(response)
    _compare(_object(message.get("parameters") or {}).get("signature"))
    if message.get("id") not in (None, request_id):
        raise PredictorError("nonsense", "the answer is to another request")
    try:
        predictions = predictions_of(message)
    except ContractError as error:
        raise PredictorError("nonsense", str(error)) from None
    if len(predictions) != 1:
        raise PredictorError("nonsense", f"{len(predictions)} predictions for one row")
    return Answer(predictions[0], _version(message.get("model_version")))


def description_of(metadata: object) -> Description:
    """The model that its metadata describes.

    A server that knows no signatures is compared by the names and datatypes of its tensors.

    Raises:
        PredictorError: it is no description, or keeps another contract.
    """
    message = _object(metadata)
    parameters = _object(message.get("parameters") or {})
    _compare(parameters.get("signature"))
    if parameters.get("signature") is None:
        _compare_tensors(message)
    versions = message.get("versions")
    version = parameters.get("version")
    if version is None and isinstance(versions, list) and versions:
        version = versions[-1]
    fallback = parameters.get("fallback")
    try:
        recommended = None if fallback is None else Prediction.model_validate(fallback)
    except ValidationError:
        raise PredictorError("nonsense", "the recommended fallback is no prediction") from None
    return Description(_version(version), signature(), recommended)


def _object(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise PredictorError("nonsense", "not an object of the Open Inference Protocol")
    return message


def _version(value: object) -> str | None:
    if value is None or (isinstance(value, str) and VERSION.fullmatch(value)):
        return value
    raise PredictorError("nonsense", "the version is no short text")


def _compare(theirs: object) -> None:
    if theirs not in (None, signature()):
        raise PredictorError(
            "signature", f"the model keeps contract {theirs!r:.40}, the service {signature()!r}"
        )


def _compare_tensors(metadata: dict[str, Any]) -> None:
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
