"""Rows by column: how every part of this package passes them on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import INPUTS, Column, Derived, Inputs, LookedUp, assemble
from contract.evolution import OURS, Kinds
from contract.types import KINDS

Array = npt.NDArray[Any]
Columns = Mapping[str, Sequence[Any] | Array]
"""Each column's float, int, bool, str or datetime per row, None where it is missing; or the arrays
that `to_arrays` makes of them."""


@dataclass(frozen=True)
class ByValueCount:
    """For a `ColumnTransformer`: those of some columns with at least and at most so many values."""

    names: Sequence[str]
    least: float = 0
    most: float = np.inf

    def __call__(self, frame: Any) -> list[str]:
        """Their names."""
        return [name for name in self.names if self.least <= frame[name].nunique() <= self.most]


def row_count(columns: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(columns.values())))


def missing(columns: Columns) -> list[None]:
    """A column beside these in which all values are missing."""
    return [None] * row_count(columns)


def to_arrays(columns: Columns, kinds: Kinds = OURS.features) -> dict[str, Array]:
    """One array of [rows] per feature, in the order of `kinds`; an array stays as it is.

    A feature that there is no column for is missing in all rows.

    Numbers and booleans are float64 with NaN where they are missing, and so are moments, in seconds
    since 1970 in UTC. Categories are Python strings with "" where they are missing, which no
    category is.
    """
    return {
        name: _array(columns[name] if name in columns else missing(columns), kind.rstrip("?"))
        for name, kind in kinds.items()
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
    """A column as float, int, bool, str or datetime per row, None where it is missing."""
    if not isinstance(values, np.ndarray):
        return values
    if column.kind == "category":
        return [value or None for value in values]
    python: Any = KINDS[column.kind].python
    if column.kind == "datetime":
        python = partial(datetime.fromtimestamp, tz=UTC)
    return [None if value != value else python(value) for value in values.tolist()]


def text_of(value: Any) -> str:
    """A value as a cell of text, as JSON writes it; empty where it is missing."""
    if value is None or value != value:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _array(values: Sequence[Any] | Array, kind: str) -> Array:
    if isinstance(values, np.ndarray):
        return values
    if kind == "category":
        texts: Array = np.empty(len(values), dtype=object)
        texts[:] = [value or "" for value in values]
        return texts
    if kind == "datetime":
        values = [value and value.timestamp() for value in values]
    return np.asarray(values, dtype=np.float64)
