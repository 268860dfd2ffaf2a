"""The cells of a described table as values, in which order and leaks are looked for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stamping.description import Description
from stamping.fields import READ

MOST_ROWS = 100_000
"""Rows that are taken of a table, evenly spread."""


@dataclass(frozen=True)
class Table:
    """Columns by name, in the order of the file, without the rows whose target is missing.

    Attributes:
        target: the name of its column.
        kinds: of the features and of the target.
        columns: the same names; numbers, moments as seconds, booleans, texts; None where missing.
        left_out: the columns that are no features.
        optional: the columns in which a cell may be missing.
    """

    target: str
    kinds: dict[str, str]
    columns: dict[str, list[Any]]
    left_out: dict[str, list[Any]]
    optional: frozenset[str]


def values_of(description: Description) -> Table:
    """The values of a table; of a large one, those of every n-th row."""
    used = {each.name: each for each in [*description.features, description.target]}
    other = {
        each.name: each
        for each in description.columns
        if each.kind and each.reason and each.name not in used
    }
    read = used | other
    values: dict[str, list[Any]] = {name: [] for name in read}
    for chunk in description.chunks(list(read.values()), -(-description.rows // MOST_ROWS)):
        for name, cells in chunk.items():
            known = {cell: TO_VALUE[read[name].kind](cell) if cell else None for cell in set(cells)}
            values[name] += map(known.__getitem__, cells)
    return Table(
        description.target.name,
        {name: each.kind for name, each in used.items()},
        {name: values[name] for name in used},
        {name: values[name] for name in other},
        frozenset(name for name, each in read.items() if each.optional),
    )


def seconds(moment: str) -> float:
    """A moment in ISO 8601 as seconds since 1970; one without offset is taken for UTC."""
    at = datetime.fromisoformat(moment)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


TO_VALUE = {**READ, "datetime": seconds}
