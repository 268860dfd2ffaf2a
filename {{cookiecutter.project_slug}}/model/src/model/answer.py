"""What goes into an engine and what comes out of it, whichever engine it is: arrays by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import FEATURES, TARGET
from contract.tensors import PROBABILITIES

Array = npt.NDArray[Any]
Columns = Mapping[str, Sequence[Any] | Array]
"""Rows by column: each feature's float, int, bool or str per row, None where it is missing; or the
arrays that `arrays_of` makes of them."""


@dataclass(frozen=True)
class Answer:
    """The predictions for some rows, in their order.

    Attributes:
        values: the target per row: float64, bool, or str as objects.
        probabilities: for a classification float64 [rows, classes], in the order of the classes.
    """

    values: Array
    probabilities: npt.NDArray[np.float64] | None = None

    def is_finite(self) -> bool:
        """Whether every number can be told in JSON."""
        numbers = self.values if self.probabilities is None else self.probabilities
        return bool(np.isfinite(numbers).all())

    def part(self, rows: slice | npt.NDArray[np.intp]) -> "Answer":
        """The predictions for some of the rows, which a slice or their numbers tell."""
        shares = self.probabilities
        return Answer(self.values[rows], None if shares is None else shares[rows])

    def rows(self, classes: Sequence[str] | None) -> list[dict[str, Any]]:
        """One mapping per row, as `contract.Prediction` has it."""
        rows: list[dict[str, Any]] = [{TARGET.name: value} for value in self.values.tolist()]
        if self.probabilities is not None and classes is not None:
            for row, shares in zip(rows, self.probabilities.tolist(), strict=True):
                row[PROBABILITIES] = dict(zip(classes, shares, strict=True))
        return rows


def arrays_of(columns: Columns) -> dict[str, Array]:
    """One array of [rows] per feature, in the order of the contract; an array stays as it is.

    Numbers and booleans are float64 with NaN where they are missing. Categories are Python strings
    with "" where they are missing, which no category is.
    """
    return {
        column.name: _texts(columns[column.name])
        if column.datatype == "BYTES"
        else np.asarray(columns[column.name], dtype=np.float64)
        for column in FEATURES
    }


def rows_of(columns: Columns) -> int:
    """How many rows there are."""
    return len(columns[FEATURES[0].name])


def class_name(value: Any) -> str:
    """A class as the keys of `probabilities` have it: "false" and "true" for booleans."""
    return str(value).lower() if TARGET.datatype == "BOOL" else str(value)


def classified(probabilities: npt.NDArray[np.float64], classes: Sequence[str]) -> Answer:
    """The answer of a classifier: of each row the class that is most probable, the first of equals.

    Args:
        probabilities: [rows, classes].
    """
    best = probabilities.argmax(axis=1)
    if TARGET.datatype == "BOOL":
        return Answer(np.array([name == "true" for name in classes])[best], probabilities)
    return Answer(np.array(classes, dtype=object)[best], probabilities)


def _texts(values: Sequence[Any] | Array) -> Array:
    if isinstance(values, np.ndarray):
        return values
    texts: Array = np.empty(len(values), dtype=object)
    texts[:] = [value or "" for value in values]
    return texts
