"""Cells of a table to the values that the contract allows, and what is wrong with the others."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract import Column
from contract.types import EXACT, KINDS
from model.columns import Array, text_of
from model.tables.reading import Batch

Faults = dict[int, tuple[str, str]]
"""Of faulty rows, by their position in a batch: the column at fault (or "") and the reason."""


def check_columns(schema: pa.Schema, columns: Sequence[Column]) -> None:
    """Raise ValueError unless a table has these columns, each of a readable type."""
    for column in columns:
        there = column.name in schema.names
        if not there and not column.optional:
            header = f"{schema.names!r:.300}"
            raise ValueError(f"column {column.name} is missing; the header is {header}")
        if there and not _is_readable(kind := schema.field(column.name).type, column):
            raise ValueError(f"column {column.name} is of type {kind}, not {column.kind}")


def _is_readable(kind: pa.DataType, column: Column) -> bool:
    """Whether cells of this type can hold the column's values; texts can hold any."""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    moment = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    others = {"bool": pa.types.is_boolean(kind), "category": False, "datetime": moment}
    native = others.get(column.kind, number)
    return bool(native or pa.types.is_string(kind))


def read_columns(batch: Batch, columns: Sequence[Column]) -> tuple[dict[str, Array], Faults]:
    """The values in these columns, which were checked, and the rows that have none.

    Returns:
        An array of [rows] per column, as `model.columns.to_arrays` makes them, in which the values
        of faulty rows mean nothing; and the first fault of each of these.
    """
    arrays: dict[str, Array] = {}
    faults: Faults = {position: ("", reason) for position, reason in batch.malformed.items()}
    for column in columns:
        there = column.name in batch.cells.schema.names
        nulls = pa.nulls(batch.cells.num_rows, pa.string())
        cells = batch.cells[column.name] if there else nulls
        arrays[column.name], wrong = _read_column(cells, column)
        for position, reason in wrong.items():
            faults.setdefault(position, (column.name, reason))
    return arrays, faults


def _read_column(cells: pa.Array, column: Column) -> tuple[Array, dict[int, str]]:
    """A column's values, and what is wrong with which cell; a null or a NaN is a missing value.

    Arrow reads the numbers that are surely such. Of the other cells, those that are equal are
    parsed once, as the contract says.
    """
    texts = column.kind == "category"
    values = np.full(len(cells), "" if texts else np.nan, object if texts else np.float64)
    if column.kind in ("float", "int") or pa.types.is_boolean(cells.type):
        with suppress(pa.ArrowInvalid):  # a cell is no number; which one, Arrow does not say
            values = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False).copy()
    sure = np.zeros(len(cells), bool) if texts else np.abs(values) < EXACT
    if column.kind == "int":
        sure &= values == np.floor(values)
    rest = np.flatnonzero(~sure)
    encoded = cells.take(pa.array(rest)).dictionary_encode(null_encoding="encode")
    parsed = np.full(len(encoded.dictionary), "" if texts else np.nan, values.dtype)
    wrong: dict[int, str] = {}
    for code, text in enumerate(map(text_of, encoded.dictionary.to_pylist())):
        try:
            if text:
                value = KINDS[column.kind].parse(text)
                parsed[code] = value.timestamp() if column.kind == "datetime" else value
            elif not column.optional:
                wrong[code] = "is missing a value"
        except ValueError as error:
            wrong[code] = str(error)
    codes = encoded.indices.to_numpy()
    values[rest] = parsed[codes]
    faulty = np.flatnonzero(np.isin(codes, list(wrong)))
    return values, {int(rest[position]): wrong[codes[position]] for position in faulty}
