"""The five kinds of value that a feature or a target can have, each defined here and nowhere else.

They say what a value *is*, never what was seen so far: the ranges and categories of the history
stand in each model version's manifest, so that a plausible value that is new gets an answer.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from contract.timezone import TIMEZONE

EXACT = 2**53
"""Numbers go up to here: integers are exact in every JSON reader (RFC 8259, section 6), and the
squares of floats, summed over a history, stay finite in float32 as well."""

NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,40}\s*", re.ASCII)
MOMENT = re.compile(
    r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?\s*",
    re.ASCII,
)
"""A date, or a date and a time of day, as ISO 8601 writes them."""
INVISIBLE = (
    r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb"
)
"""What controls a terminal, turns the direction of reading, or cannot be seen; for a pattern."""
VISIBLE = f"^[^{INVISIBLE}]+$"
NUMERIC = "a number within ±2^53"
INTEGER = "a whole number within ±2^53"
TEXT = "1 to 200 characters without control characters"
ISO_8601 = "a moment as ISO 8601 writes it, such as 2026-11-27T08:15:00+01:00"


def _whole(value: object) -> object:
    """4.0 is an integer in JSON, and so it is here."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: object) -> object:
    """The moment in a text, or a moment, in UTC; in the team's time zone if it has no offset."""
    try:
        if isinstance(value, str) and MOMENT.fullmatch(value):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=TIMEZONE)).astimezone(UTC)
    except (ValueError, OverflowError):  # of a day that there is not, or before the year 1
        pass
    raise PydanticCustomError("moment", "Input should be {expected}", {"expected": ISO_8601})


# Without the bounds: a greater whole number in JSON may become one of them.
Float = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=-EXACT, lt=EXACT)]
Int = Annotated[int, Field(strict=True, ge=-EXACT, le=EXACT), BeforeValidator(_whole)]
Bool = Annotated[bool, Field(strict=True)]
Category = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=200, pattern=VISIBLE),
]
Datetime = Annotated[datetime, BeforeValidator(_moment)]


class UnexpectedValue(ValueError):
    """A value of another kind than expected.

    Attributes:
        position: where it stands among others.
    """

    def __init__(self, value: object, expected: str, position: int = 0) -> None:
        super().__init__(f"is {value!r:.40}, expected {expected}")
        self.position = position


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Attributes:
        name: as the fields of the contract are declared.
        datatype: FP64, INT64, BOOL or BYTES, as the Open Inference Protocol calls it.
        python: the type of its values in Python.
        values: checks a list of values, None where one is missing.
        expected: what a value is, for people.
        from_text: the value in a cell of text, its limits unchecked; None where there is none.
    """

    name: str
    datatype: str
    python: type
    values: TypeAdapter[list[Any]]
    expected: str
    from_text: Callable[[str], object]

    def check(self, values: list[Any]) -> list[Any]:
        """The values; None where one is missing, which NaN (FP64) and "" (BYTES) say as well.

        Raises:
            UnexpectedValue: one is of another kind.
        """
        with suppress(ValidationError):  # a missing value is None, mostly
            return self.values.validate_python(values)
        if self.datatype == "FP64":
            values = [None if value != value else value for value in values]
        elif self.datatype == "BYTES":
            values = [None if value == "" else value for value in values]
        try:
            return self.values.validate_python(values)
        except ValidationError as error:
            (position, *_) = error.errors(include_url=False)[0]["loc"]
            raise UnexpectedValue(values[int(position)], self.expected, int(position)) from None

    def parse(self, text: str) -> Any:
        """The value in a cell of text.

        Raises:
            UnexpectedValue: there is none of this kind.
        """
        try:
            (value,) = self.values.validate_python([self.from_text(text)])
        except ValidationError:
            value = None
        if value is None:
            raise UnexpectedValue(text, self.expected)
        return value


def _float(text: str) -> float | None:
    return float(text) if NUMBER.fullmatch(text) else None


def _int(text: str) -> float | None:
    return int(text) if WHOLE.fullmatch(text) else _float(text)


def _bool(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


KINDS = {
    each.name: each
    for each in (
        Kind("float", "FP64", float, TypeAdapter(list[Float | None]), NUMERIC, _float),
        Kind("int", "INT64", int, TypeAdapter(list[Int | None]), INTEGER, _int),
        Kind("bool", "BOOL", bool, TypeAdapter(list[Bool | None]), "true or false", _bool),
        Kind("category", "BYTES", str, TypeAdapter(list[Category | None]), TEXT, str),
        Kind("datetime", "BYTES", datetime, TypeAdapter(list[Datetime | None]), ISO_8601, str),
    )
}
"""The five kinds by name."""
