"""What an engine answers, whichever engine it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import TARGET
from contract.tensors import PROBABILITIES
from model.columns import Array


@dataclass(frozen=True)
class Predictions:
    """The predictions for some rows, in their order.

    Attributes:
        values: the target per row: float64, bool, or str as objects.
        classes: for a classification the name of every class.
        probabilities: theirs, float64 [rows, classes].
    """

    values: Array
    classes: Sequence[str] = ()
    probabilities: npt.NDArray[np.float64] | None = None

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """What was computed: the probabilities, or for a regression the values [rows, 1]."""
        return self.values[:, None] if self.probabilities is None else self.probabilities

    def part(self, rows: slice | npt.NDArray[np.intp]) -> "Predictions":
        """The predictions for some of the rows, given as a slice or by their numbers."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.values[rows], self.classes, probabilities)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per row, as `contract.Prediction` has it."""
        rows: list[dict[str, Any]] = [{TARGET.name: value} for value in self.values.tolist()]
        if self.probabilities is not None:
            for row, probabilities in zip(rows, self.probabilities.tolist(), strict=True):
                row[PROBABILITIES] = dict(zip(self.classes, probabilities, strict=True))
        return rows


def most_probable(probabilities: npt.NDArray[np.float64], classes: Sequence[str]) -> Predictions:
    """Of each row of probabilities [rows, classes] the most probable class, the first of equals."""
    best = probabilities.argmax(axis=1)
    names = np.array(classes, dtype=object)
    values = names == "true" if TARGET.kind == "bool" else names
    return Predictions(values[best], classes, probabilities)
