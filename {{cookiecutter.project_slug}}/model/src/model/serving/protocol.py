"""The Open Inference Protocol V2: messages in, messages out, no transport.

The protocol: https://github.com/kserve/open-inference-protocol. What a tensor may look like is the
contract's business; here is the rest of a message.
"""

from dataclasses import dataclass
from typing import Any

from contract import FEATURES, MODEL_NAME, TARGET, ContractError, signature
from contract.evolution import OURS
from contract.tensors import PROBABILITIES, columns_of, outputs_of, parameters_of
from model.columns import row_count
from model.engines.loading import Model
from model.engines.predictions import Predictions

OUTPUTS = frozenset({TARGET.name} if TARGET.kind == "float" else {TARGET.name, PROBABILITIES})
SERVER = {"name": "model", "version": "1", "extensions": []}


@dataclass(frozen=True)
class InferenceRequest:
    """A parsed inference request.

    Attributes:
        columns: the features, missing values as None.
        rows: how many rows there are.
        outputs: the names of the outputs that are wanted.
        id: what to repeat in the response, if anything.
        signature: of the contract in which the caller speaks, and is answered.
    """

    columns: dict[str, list[Any]]
    rows: int
    outputs: frozenset[str]
    id: str | None
    signature: str


def read_request(request: object) -> InferenceRequest:
    """The request in parsed JSON; raises ContractError, which names a tensor at fault."""
    columns = columns_of(request)
    message: dict[str, Any] = request  # type: ignore[assignment]  # columns_of rejects any other
    if not isinstance(message.get("id", ""), str):
        raise ContractError("`id` is not a string")
    outputs = _outputs(message.get("outputs", []))
    caller = parameters_of(message).get("signature") or signature()
    return InferenceRequest(columns, row_count(columns), outputs, message.get("id"), caller)


def _outputs(outputs: object) -> frozenset[str]:
    """The names of the outputs that are wanted."""
    if not isinstance(outputs, list):
        raise ContractError("`outputs` is not a list")
    wanted: set[str] = set()
    for position, output in enumerate(outputs):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str):
            raise ContractError(f"`outputs[{position}]` is not an object with a name")
        if name not in OUTPUTS:
            raise ContractError(f"unknown output; expected {', '.join(sorted(OUTPUTS))}", name)
        wanted.add(name)
    return frozenset(wanted) or OUTPUTS


def response_of(
    model: Model, request: InferenceRequest, predictions: Predictions
) -> dict[str, Any]:
    """The inference response with these predictions.

    In `parameters` the caller finds the signature of its contract, which is what it reads; the
    prediction to fall back on while this version cannot be asked; and for a regression the range of
    the target that its training saw. The last two are JSON text.
    """
    probabilities = predictions.probabilities
    shares = None if probabilities is None else probabilities.ravel().tolist()
    outputs = outputs_of(predictions.values.tolist(), shares, predictions.classes)
    parameters = {"signature": request.signature, "fallback": model.fallback}
    if model.range:
        parameters["range"] = model.range
    return {
        "model_name": MODEL_NAME,
        "model_version": model.manifest.version,
        **({} if request.id is None else {"id": request.id}),
        "parameters": parameters,
        "outputs": [each for each in outputs if each["name"] in request.outputs],
    }


def metadata(model: Model) -> dict[str, Any]:
    """What the model is: its tensors, and in `parameters` what the service compares.

    That is the signature of the contract, and as JSON text its terms, and the rows of the self-test
    with the predictions of them, for `service check` to ask for.
    """
    manifest = model.manifest
    inputs = [{"name": each.name, "datatype": each.datatype, "shape": [-1]} for each in FEATURES]
    outputs = [{"name": TARGET.name, "datatype": TARGET.datatype, "shape": [-1]}]
    if manifest.classes is not None:
        shape = [-1, len(manifest.classes)]
        outputs.append({"name": PROBABILITIES, "datatype": "FP64", "shape": shape})
    return {
        "name": MODEL_NAME,
        "versions": [manifest.version],
        "platform": model.engine.name,
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {
            "signature": signature(),
            "contract": OURS.dump(),
            "self_test": model.self_test,
        },
    }
