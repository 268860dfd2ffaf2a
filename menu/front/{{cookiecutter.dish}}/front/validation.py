"""A request checked against the contract of its model, as the model server's metadata tells it."""

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

from starlette.exceptions import HTTPException

Tensors = dict[str, dict[str, Any]]
"""Tensors by name, as they stand in a request."""


def rejected(field: object, fault: str) -> HTTPException:
    """What a caller is told whose request is wrong."""
    return HTTPException(400, f"{field}: {fault}")


def parse(body: bytes) -> tuple[dict[str, Any], Tensors]:
    """An inference request in JSON, and its tensors; raises HTTPException 400."""
    try:
        message = json.loads(body)
        tensors = {str(each["name"]): {**each} for each in message["inputs"]}
        message["parameters"] = {**(message.get("parameters") or {})}
        "".join([message.get("id", ""), *tensors]).encode()  # texts, then, that can be sent back
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise rejected("body", f"is not an inference request in JSON: {error!r:.200}") from None
    if len(tensors) < len(message["inputs"]):
        raise rejected("inputs", "a tensor is there twice")
    return message, tensors


class Contract:
    """What a model asks for; raises LookupError, TypeError or ValueError for unfit metadata.

    A value may be missing where the model server's own description of its contract says so.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        parameters = metadata.get("parameters") or {}
        kinds = json.loads(parameters.get("contract") or "{}").get("features", {})
        self._signature = parameters.get("signature")
        self._optional = {name for name, kind in kinds.items() if kind.endswith("?")}
        self.datatypes = {each["name"]: str(each["datatype"]) for each in metadata["inputs"]}

    def check(self, tensors: Tensors, signature: object) -> None:
        """Raise HTTPException 400, which names a tensor and its fault, if there is one.

        Args:
            tensors: by name; their data becomes flat, and NaN becomes None.
            signature: of the contract that the caller speaks; the model server itself judges what
                a caller of another one leaves out, or sends besides.
        """
        rows = {self._rows(*item) for item in tensors.items() if item[0] in self.datatypes}
        if len(rows) > 1:
            raise rejected("inputs", f"some tensors have {rows.pop()} rows, others {rows.pop()}")
        if self._signature is None or signature in (None, self._signature):
            for name in sorted(tensors.keys() - self.datatypes.keys()):
                raise rejected(name, f"unknown tensor; expected {', '.join(self.datatypes)}")
            for name in sorted(self.datatypes.keys() - tensors.keys() - self._optional):
                raise rejected(name, f"missing tensor of datatype {self.datatypes[name]}")

    def _rows(self, name: str, tensor: dict[str, Any]) -> int:
        """How many rows a tensor has; raises HTTPException 400 for one at fault."""
        shape, data, datatype = tensor.get("shape"), tensor.get("data"), self.datatypes[name]
        if tensor.get("datatype") != datatype:
            raise rejected(name, f"datatype is {tensor.get('datatype')!r:.40}, expected {datatype}")
        if not (isinstance(shape, list) and shape and all(type(size) is int for size in shape)):
            raise rejected(name, f"shape is {shape!r:.40}, expected [rows]")
        while isinstance(data, list) and data and all(isinstance(each, list) for each in data):
            data = [*chain.from_iterable(data)]
        if not (isinstance(data, list) and len(data) == math.prod(shape) and min(shape) > 0):
            raise rejected(name, f"`data` is not what shape {shape!r:.40} says")
        tensor["data"] = data = [None if value != value else value for value in data]
        for place, value in enumerate(data):
            if not (name in self._optional if value is None else _fits(value, datatype)):
                row = place * shape[0] // len(data)
                raise rejected(name, f"row {row} is {value!r:.40}, expected {datatype}")
        return int(shape[0])


def _fits(value: object, datatype: str) -> bool:
    """Whether a value is of a datatype; 4.0 is a whole number in JSON."""
    if datatype in ("BOOL", "BYTES"):
        return type(value) is (bool if datatype == "BOOL" else str)
    if type(value) is float:
        return math.isfinite(value) and (value.is_integer() or "INT" not in datatype)
    return type(value) is int
