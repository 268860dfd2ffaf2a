"""What was predicted, from what, and how it turned out: to learn from, and to compare by."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import Connection, select

from contract import FEATURES, INPUTS, TARGET, Column
from contract.names import beside
from contract.types import KINDS, UnexpectedValue
from service import tables
from service.inserts import REFERENCE

GROUP_ROWS = 10_000
"""Rows of a group of a Parquet file, at most."""

Row = tables.{{ cookiecutter.__entity_class }}
Prediction = tables.Prediction
KEY = getattr(Prediction, REFERENCE)

ADDED = {
    REFERENCE: ("int", KEY),
    "served_by": ("category", Prediction.served_by),
    f"expected_{TARGET.name}": (TARGET.kind, Prediction.expected),
{%- if cookiecutter.__task != 'regression' %}
    "probabilities": ("category", Prediction.probabilities),
{%- endif %}
    "model_version": ("category", Prediction.model_version),
    "predicted_at": ("datetime", Prediction.created_at),
    "recorded_at": ("datetime", Row.recorded_at),
}
"""What stands behind the columns of a history: of what kind it is, and where it comes from."""

COLUMNS = {each.name: each.kind for each in (*FEATURES, TARGET)} | {
    beside(name, [each.name for each in FEATURES]): kind for name, (kind, _) in ADDED.items()
}
"""The kinds of all columns."""


class Served:
    """The predictions whose outcome is known, oldest first, as lists of values.

    Args:
        connection: in a transaction.
        shadows: whether those are among them that nobody was served.

    Attributes:
        left_out: how many lacked a feature of today's contract.
    """

    def __init__(self, connection: Connection, *, shadows: bool) -> None:
        self._connection, self._shadows = connection, shadows
        self.left_out = 0

    def __iter__(self) -> Iterator[list[Any]]:
        """Fetch some at a time, so that any number of them takes the same memory."""
        query = (
            select(Prediction.features, Prediction.outcome, *(each for _, each in ADDED.values()))
            .join(Row, Row.id == KEY)
            .where(Prediction.outcome.is_not(None))
            .order_by(Row.id, Prediction.id)
            .execution_options(yield_per=1000)
        )
        if not self._shadows:
            query = query.where(Prediction.served_by != tables.SHADOW)
        for served, *others in self._connection.execute(query):
            try:
                features = [_value(column, served.get(column.name)) for column in FEATURES]
            except UnexpectedValue:
                self.left_out += 1
                continue
            yield features + [json.dumps(it) if isinstance(it, dict) else it for it in others]


def _value(column: Column, value: object) -> Any:
    """A feature as it was served, which may have been by an earlier contract."""
    kind = KINDS[column.kind]
    (known,) = kind.check([value])
    if known is None and column in INPUTS and not column.optional:
        raise UnexpectedValue(value, kind.expected)
    return known


def to_csv(path: Path, rows: Served) -> None:
    """Write a CSV file; `-` is the standard output."""
    new = nullcontext(sys.stdout) if str(path) == "-" else path.open("x", encoding="utf-8")
    with new as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_cell, row) for row in rows)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else to_jsonable_python(value)


def to_parquet(path: Path, rows: Served) -> None:
    """Write a Parquet file, with numbers, booleans and moments (in UTC) as such.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "category": pa.string()}
    types["datetime"] = pa.timestamp("us", "UTC")
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    left = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := [*islice(left, GROUP_ROWS)]:
            columns = [*map(pa.array, zip(*group, strict=True), schema.types)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
