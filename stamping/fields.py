"""The declared columns: `name:type` words, and the answers that hold them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

WAYS = ("order", "shuffled", "time", "group")
"""How the rows of the past may be split into those to learn from and those to be judged on."""

READ: dict[str, Callable[[str], Any]] = {
    "float": float,
    "int": int,
    "bool": "true".__eq__,
    "category": str,
    "datetime": str,
}
"""The JSON value in a staged cell of each kind, which is not missing."""


class Field(NamedTuple):
    """One declared column; an optional one may be missing."""

    name: str
    kind: str
    optional: bool

    def __str__(self) -> str:
        """As it is declared."""
        return f"{self.name}:{self.kind}{'?' * self.optional}"


def field_of(word: str) -> Field:
    """The column that `name:type` or `name:type?` declares."""
    name, _, kind = word.partition(":")
    return Field(name, kind.removesuffix("?"), kind.endswith("?"))


def features_of(answers: Mapping[str, str]) -> list[Field]:
    """The declared features."""
    return [field_of(word) for word in answers["features"].split()]


def split_column(answers: Mapping[str, str]) -> str:
    """The name of the column by which rows are split; empty where there is none."""
    return answers["split"].partition(":")[2]
