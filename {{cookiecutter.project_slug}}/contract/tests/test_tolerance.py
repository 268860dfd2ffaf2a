"""What counts as the same prediction."""

from typing import Any

import pytest

from contract.tolerance import TOLERANCE, check_predictions

Rows = list[dict[str, Any]]


def shares(a: float, chosen: str = "a") -> dict[str, Any]:
    """A row of a classification."""
    return {"target": chosen, "probabilities": {"a": a, "b": 1 - a}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{"target": 1000.0}], [{"target": 1000.0 * (1 + TOLERANCE / 2)}]),
        ([{"target": 1000.0}, {"target": 0.0}], [{"target": 1000.0}, {"target": 0.005}]),
        ([shares(0.9)], [shares(0.9 + TOLERANCE / 2)]),
        ([], []),
    ],
)
def test_what_a_float32_cannot_tell_apart_is_the_same(found: Rows, expected: Rows) -> None:
    check_predictions(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{"target": 1000.0}], [{"target": 1000.0 * (1 + TOLERANCE * 2)}]),
        ([{"target": 1.0}, {"target": 0.0}], [{"target": 1.0}, {"target": 0.005}]),
        ([shares(0.9)], [shares(0.9 + TOLERANCE * 2)]),
        ([shares(0.5)], [shares(0.5, "b")]),
        ([{"target": True}], [{"target": False}]),
        ([{"target": 1.0}], [{}]),
        ([{"target": 1.0}], []),
    ],
)
def test_what_is_further_off_is_told(found: Rows, expected: Rows) -> None:
    with pytest.raises(ValueError, match=r"row|argument"):
        check_predictions(found, expected)
