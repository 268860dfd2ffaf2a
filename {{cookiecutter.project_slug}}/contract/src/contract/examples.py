"""Real rows to show and to test with, and the golden messages that pin the wire format."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Golden:
    """One exchange between the two sides, word for word.

    Attributes:
        number: counts the versions of the contract; the highest is the current one.
        columns: the contract that it belongs to, as `contract.signature.Column` fields.
        features: one mapping a row.
        request: the body of the inference request for them.
        predictions: one mapping a row.
        response: the body of the inference response with them.
    """

    number: int
    columns: list[dict[str, Any]]
    features: list[dict[str, Any]]
    request: dict[str, Any]
    predictions: list[dict[str, Any]]
    response: dict[str, Any]


def golden() -> list[Golden]:
    """The golden exchanges of every version of the contract that is kept, oldest first."""
    folder = files("contract") / "golden"
    numbers = sorted(int(each.name[:-5]) for each in folder.iterdir() if each.name[-5:] == ".json")
    texts = ((number, (folder / f"{number}.json").read_text("utf-8")) for number in numbers)
    return [Golden(number, **json.loads(text)) for number, text in texts]


def examples() -> list[dict[str, Any]]:
    """A few rows of the history: the inputs, and the target as it turned out."""
    rows: list[dict[str, Any]] = json.loads(
        (files("contract") / "examples.json").read_text("utf-8")
    )
    return rows
