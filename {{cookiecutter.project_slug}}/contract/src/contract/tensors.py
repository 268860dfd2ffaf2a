"""To and from Open Inference Protocol V2 messages in JSON: the only place that knows their shape.

The protocol: https://github.com/kserve/open-inference-protocol (HTTP/JSON, "tensor data").
One tensor per feature with one value per row; a moment is a text, as ISO 8601 writes it. A missing
value is `null`; for clients whose JSON has no null in a tensor, NaN (FP64) and "" (BYTES) mean the
same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from pydantic import ValidationError

from contract.errors import ContractError
from contract.evolution import OURS, ignorable
from contract.features import Features, Inputs, LookedUp, assemble
from contract.prediction import Prediction
from contract.signature import FEATURES, TARGET, Column
from contract.types import KINDS, UnexpectedValue

PROBABILITIES = "probabilities"
"""Name of the second output tensor of a classification, [rows, classes]."""


class Tensor(TypedDict, total=False):
    """A tensor as it stands in JSON; `shape` is [rows], or [rows, classes] for probabilities."""

    name: str
    datatype: str
    shape: list[int]
    data: Sequence[Any]
    parameters: dict[str, Any]


def inputs_of(rows: Sequence[Features]) -> list[Tensor]:
    """The `inputs` of an inference request for these rows, in order."""
    plain = [row.model_dump(mode="json") for row in rows]
    return [
        Tensor(
            name=column.name,
            datatype=column.datatype,
            shape=[len(rows)],
            data=[row[column.name] for row in plain],
        )
        for column in FEATURES
    ]


def columns_of(request: object) -> dict[str, list[Any]]:
    """The features of an inference request by column, missing values as None.

    Every list holds one value per row, in their order: float, int, bool, str or datetime. Of a
    caller with another version of the contract, features that it lets us ignore are, and those that
    it does not know are derived.

    Raises:
        ContractError: naming the tensor, for anything that the contract does not allow.
    """
    tensors = _by_name(request, "inputs")
    ignored = ignorable(parameters_of(request))
    known = {column.name for column in FEATURES}
    for name in tensors:
        if name not in known and name not in (ignored or ()):
            raise ContractError(f"unknown tensor; expected {', '.join(sorted(known))}", name)
    rows, derived = None, False
    columns: dict[str, list[Any]] = {}
    for column in FEATURES:
        if column.name not in tensors:
            if ignored is not None and column.name in OURS.derived:
                derived = True
            elif not column.optional:
                raise ContractError(f"missing tensor of datatype {column.datatype}", column.name)
            continue
        data = _data(tensors[column.name], column)
        rows = len(data) if rows is None else rows
        if len(data) != rows:
            raise ContractError(f"has {len(data)} rows where others have {rows}", column.name)
        columns[column.name] = data
    if rows is None:
        raise ContractError("no tensor says how many rows there are")
    columns = {column.name: columns.get(column.name, [None] * rows) for column in FEATURES}
    return _with_derived(columns) if derived else columns


def parameters_of(message: object) -> dict[str, Any]:
    """The `parameters` of a message; none if it has none."""
    parameters = message.get("parameters") if isinstance(message, dict) else None
    if not isinstance(parameters, dict | None):
        raise ContractError("`parameters` is not an object")
    return parameters or {}


def _with_derived(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The columns with all that is derived derived anew."""
    features = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        inputs, looked_up = (
            part.model_validate({name: row[name] for name in part.model_fields})
            for part in (Inputs, LookedUp)
        )
        features.append(assemble(inputs, looked_up))  # type: ignore[arg-type]
    return {name: [getattr(row, name) for row in features] for name in columns}


def outputs_of(
    values: Sequence[Any],
    probabilities: Sequence[float] | None = None,
    classes: Sequence[str] | None = None,
) -> list[Tensor]:
    """The `outputs` of an inference response.

    Args:
        values: the prediction for each row: float, bool or str, as the target's kind says.
        probabilities: for a classification, those of the first row, then those of the next.
        classes: what each row's probabilities stand for.
    """
    outputs = [Tensor(name=TARGET.name, datatype=TARGET.datatype, shape=[len(values)], data=values)]
    if probabilities is not None and classes is not None:
        outputs.append(
            Tensor(
                name=PROBABILITIES,
                datatype="FP64",
                shape=[len(values), len(classes)],
                data=probabilities,
                parameters={"classes": list(classes)},
            )
        )
    return outputs


def predictions_of(response: object) -> list[Prediction]:
    """The predictions of an inference response, one per row.

    Raises:
        ContractError: naming the tensor, for an answer that the contract does not allow.
    """
    tensors = _by_name(response, "outputs")
    if TARGET.name not in tensors:
        raise ContractError("missing tensor", TARGET.name)
    values = _data(tensors[TARGET.name], TARGET)
    fields: list[dict[str, Any]] = [{TARGET.name: value} for value in values]
    if TARGET.kind != "float":
        for field, row in zip(fields, _probabilities(tensors, len(values)), strict=True):
            field[PROBABILITIES] = row
    try:
        return [Prediction.model_validate(field) for field in fields]
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(first["msg"], ".".join(map(str, first["loc"]))) from None


def _probabilities(tensors: Mapping[str, Tensor], rows: int) -> list[dict[str, float]]:
    tensor = tensors.get(PROBABILITIES)
    if tensor is None:
        raise ContractError("missing tensor", PROBABILITIES)
    parameters = tensor.get("parameters")
    classes = parameters.get("classes") if isinstance(parameters, dict) else None
    if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
        raise ContractError("parameters.classes is not a list of names", PROBABILITIES)
    if tensor.get("shape") != [rows, len(classes)]:
        raise ContractError(f"shape is not [{rows}, {len(classes)}]", PROBABILITIES)
    width = len(classes)
    column = Column(PROBABILITIES, "float", optional=False)
    flat = _data({**tensor, "shape": [rows * width]}, column)
    return [
        dict(zip(classes, flat[start : start + width], strict=True))
        for start in range(0, rows * width, width)
    ]


def _by_name(message: object, key: str) -> dict[str, Tensor]:
    if not isinstance(message, dict):
        raise ContractError("the message is not a JSON object")
    tensors = message.get(key)
    if not isinstance(tensors, list):
        raise ContractError(f"`{key}` is missing or not a list of tensors")
    named: dict[str, Tensor] = {}
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise ContractError(f"`{key}[{position}]` is not a tensor with a name")
        if tensor["name"] in named:
            raise ContractError("given twice", tensor["name"])
        named[tensor["name"]] = tensor  # type: ignore[assignment]
    return named


def _data(tensor: Tensor, column: Column) -> list[Any]:
    """The values of a tensor of shape [rows] or [rows, 1], checked against its column."""
    if tensor.get("datatype") != column.datatype:
        raise ContractError(
            f"datatype is {tensor.get('datatype')!r:.40}, expected {column.datatype}", column.name
        )
    shape, data = tensor.get("shape"), tensor.get("data")
    if (
        not isinstance(shape, list)
        or not all(type(size) is int for size in shape)
        or shape[1:] not in ([], [1])
        or not shape
    ):
        raise ContractError(f"shape is {shape!r:.40}, expected [rows]", column.name)
    if not isinstance(data, list):
        raise ContractError(
            "`data` is missing or not a list; binary data is not supported", column.name
        )
    if len(shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    if len(data) != shape[0] or not data:
        raise ContractError(f"{len(data)} values for shape {shape}; at least one row", column.name)
    try:
        values = KINDS[column.kind].check(data)
    except UnexpectedValue as error:
        raise ContractError(f"row {error.position} {error}", column.name) from None
    if not column.optional and None in values:
        raise ContractError(f"row {values.index(None)} is missing a value", column.name)
    return values
