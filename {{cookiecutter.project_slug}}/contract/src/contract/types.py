"""The four kinds of value that a feature or a target can have.

They say what a value *is*, never what was seen so far: the ranges and categories of the history
stand in each model version's manifest, so that a plausible value that is new gets an answer.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

EXACT = 2**53
"""Integers up to here are exact in every JSON reader (RFC 8259, section 6)."""

CATEGORY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
"""One to 200 characters, no control characters, no half of a surrogate pair."""


def _whole(value: object) -> object:
    """4.0 is an integer to JSON; let it be one to us."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Int = Annotated[int, Field(strict=True, ge=-EXACT, le=EXACT), BeforeValidator(_whole)]
Bool = Annotated[bool, Field(strict=True)]
Category = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
