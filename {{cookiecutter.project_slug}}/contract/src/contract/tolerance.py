"""How far a prediction may be from what it should be: the same on both sides."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOLERANCE = 1e-5
"""How far a prediction may be from scikit-learn's, relative to it."""


def check_predictions(
    found: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> None:
    """Compare predictions, one mapping a row as `Prediction` has it, with what they should be.

    A number that is almost zero may be off by the tolerance of the largest one, since a float32
    knows no more of it.

    Raises:
        ValueError: saying what is predicted for which row, and what should be.
    """
    floor = TOLERANCE * max((abs(it) for row in found for it in _numbers(row)), default=0.0)
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        if not _is_close(one, other, floor):
            raise ValueError(f"predicts {one} for row {row}, and not {other}")


def _numbers(value: Any) -> Iterator[float]:
    """What was computed: the target of a regression, or the probabilities."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, float):
        yield value


def _is_close(found: Any, expected: Any, floor: float) -> bool:
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(
            _is_close(found[key], value, floor) for key, value in expected.items()
        )
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=floor)
    return bool(found == expected)
