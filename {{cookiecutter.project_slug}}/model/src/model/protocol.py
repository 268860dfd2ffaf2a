"""The Open Inference Protocol V2 spoken by an engine: messages in, messages out, no transport.

The protocol: https://github.com/kserve/open-inference-protocol. What a tensor may look like is the
contract's business; here is the rest of a message.
"""

from dataclasses import dataclass
from typing import Any

from contract import FEATURES, MODEL_NAME, TARGET, ContractError, signature
from contract.tensors import PROBABILITIES, columns_of, outputs_of
from model.answer import Answer, rows_of
from model.artifact import Manifest
from model.engine import Engine

SERVER = {"name": "model", "version": "1", "extensions": []}


@dataclass(frozen=True)
class Question:
    """An inference request that was understood.

    Attributes:
        columns: the features, missing values as None.
        rows: how many rows there are.
        outputs: the names of the outputs that were asked for; none means all.
        id: what to repeat in the response, if anything.
    """

    columns: dict[str, list[Any]]
    rows: int
    outputs: frozenset[str]
    id: str | None


def question_of(request: object) -> Question:
    """The question in an inference request, given as parsed JSON.

    Raises:
        ContractError: the request is not one; names the tensor at fault where there is one.
    """
    columns = columns_of(request)
    message: dict[str, Any] = request  # type: ignore[assignment]  # columns_of refuses any other
    if not isinstance(message.get("id", ""), str):
        raise ContractError("`id` is not a string")
    if not isinstance(message.get("parameters", {}), dict):
        raise ContractError("`parameters` is not an object")
    outputs = _outputs(message.get("outputs", []))
    return Question(columns, rows_of(columns), outputs, message.get("id"))


def response_of(manifest: Manifest, question: Question, answer: Answer) -> dict[str, Any]:
    """The inference response that gives this answer."""
    shares = None if answer.probabilities is None else answer.probabilities.ravel().tolist()
    outputs = outputs_of(answer.values.tolist(), shares, manifest.classes)
    return {
        "model_name": MODEL_NAME,
        "model_version": manifest.version,
        **({} if question.id is None else {"id": question.id}),
        "parameters": {"signature": manifest.signature},
        "outputs": [
            each for each in outputs if not question.outputs or each["name"] in question.outputs
        ],
    }


def _outputs(outputs: object) -> frozenset[str]:
    """The names of the outputs that were asked for."""
    if not isinstance(outputs, list):
        raise ContractError("`outputs` is not a list")
    known = {TARGET.name} | ({PROBABILITIES} if TARGET.datatype != "FP64" else set())
    wanted: set[str] = set()
    for position, output in enumerate(outputs):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str):
            raise ContractError(f"`outputs[{position}]` is not an object with a name")
        if name not in known:
            raise ContractError(f"unknown output; expected {', '.join(sorted(known))}", name)
        wanted.add(name)
    return frozenset(wanted)


def metadata(engine: Engine) -> dict[str, Any]:
    """What the model is: its tensors, and in `parameters` what the service asks about."""
    manifest = engine.manifest
    outputs = [{"name": TARGET.name, "datatype": TARGET.datatype, "shape": [-1]}]
    if manifest.classes is not None:
        shape = [-1, len(manifest.classes)]
        outputs.append({"name": PROBABILITIES, "datatype": "FP64", "shape": shape})
    return {
        "name": MODEL_NAME,
        "versions": [manifest.version],
        "platform": engine.platform,
        "inputs": [
            {"name": each.name, "datatype": each.datatype, "shape": [-1]} for each in FEATURES
        ],
        "outputs": outputs,
        "parameters": {
            "signature": signature(),
            "version": manifest.version,
            "fallback": manifest.fallback,
        },
    }
