"""Rows by column: how every part of this package passes them on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import FEATURES, INPUTS, Column, Derived, Inputs, LookedUp, assemble
from contract.types import KINDS

Array = npt.NDArray[Any]
Columns = Mapping[str, Sequence[Any] | Array]
"""Each column's float, int, bool or str per row, None where it is missing; or the arrays that
`to_arrays` makes of them."""


def row_count(columns: Columns) -> int:
    """How many rows there are."""
    return len(columns[FEATURES[0].name])


def to_arrays(columns: Columns) -> dict[str, Array]:
    """One array of [rows] per feature, in the order of the contract; an array stays as it is.

    Numbers and booleans are float64 with NaN where they are missing. Categories are Python strings
    with "" where they are missing, which no category is.
    """
    return {
        column.name: _texts(columns[column.name])
        if column.kind == "category"
        else np.asarray(columns[column.name], dtype=np.float64)
        for column in FEATURES
    }


def add_derived(columns: Columns) -> Columns:
    """The features of rows whose inputs are known; raises whatever `contract.derive` does."""
    if not Derived.model_fields:
        return columns
    inputs = [to_values(columns[column.name], column) for column in INPUTS]
    derived: dict[str, list[Any]] = {name: [] for name in Derived.model_fields}
    for row in zip(*inputs, strict=True):
        known = dict(zip((column.name for column in INPUTS), row, strict=True))
        given = {name: known.pop(name) for name in Inputs.model_fields}
        features = assemble(Inputs(**given), LookedUp(**known))
        for name, values in derived.items():
            values.append(getattr(features, name))
    return {**columns, **derived}


def to_values(values: Sequence[Any] | Array, column: Column) -> Sequence[Any]:
    """A column as float, int, bool or str per row, None where it is missing."""
    if not isinstance(values, np.ndarray):
        return values
    if column.kind == "category":
        return [value or None for value in values]
    python = KINDS[column.kind].python
    return [None if value != value else python(value) for value in values.tolist()]


def text_of(value: Any) -> str:
    """A value as a cell of text: "true" or "false" for a boolean, empty where it is missing."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(values: Sequence[Any] | Array) -> Array:
    if isinstance(values, np.ndarray):
        return values
    texts: Array = np.empty(len(values), dtype=object)
    texts[:] = [value or "" for value in values]
    return texts
