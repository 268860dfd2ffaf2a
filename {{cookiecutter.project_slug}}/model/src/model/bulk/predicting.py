"""A batch of rows to the predictions for the good ones, and what is wrong with the others."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract import INPUTS, Column
from contract.types import DATATYPES, EXACT
from model.bulk.reading import Batch, Numbers
from model.columns import Array, add_derived
from model.engines.loading import Model
from model.engines.predictions import Predictions

Faults = dict[int, tuple[str, str]]
"""Of rejected rows, by their position in a batch: the column at fault (or "") and the reason."""


def predict(model: Model, batch: Batch) -> tuple[list[tuple[Numbers, Predictions]], Faults]:
    """The predictions for the good rows, in parts with their positions; and the rejected rows."""
    cells = batch.cells
    columns: dict[str, Array] = {}
    faults: Faults = {position: ("", reason) for position, reason in batch.malformed.items()}
    for column in INPUTS:
        missing = column.name not in cells.schema.names  # which only an optional one may be
        texts = pa.nulls(cells.num_rows, pa.string()) if missing else cells[column.name]
        columns[column.name], wrong = read_column(texts, column)
        for position, reason in wrong.items():
            faults.setdefault(position, (column.name, reason))
    good = np.delete(np.arange(cells.num_rows), list(faults))
    return list(_predict(model, columns, good, faults)), faults


def _predict(
    model: Model, columns: dict[str, Array], rows: Numbers, faults: Faults
) -> Iterator[tuple[Numbers, Predictions]]:
    """The predictions for some rows; a row at which the model fails is found by halving."""
    if not len(rows):
        return
    try:
        part = {name: values[rows] for name, values in columns.items()}
        yield rows, model.predict(add_derived(part))
    except MemoryError:
        raise
    except Exception as error:  # whatever the libraries below raise for what they cannot take
        if len(rows) == 1:
            fault = " ".join(str(error).split())
            faults[int(rows[0])] = ("", f"the model fails on it: {fault:.200}")
            return
        for half in np.array_split(rows, 2):
            yield from _predict(model, columns, half, faults)


def is_readable(kind: pa.DataType, column: Column) -> bool:
    """Whether cells of this type can hold the column's values; texts can hold any."""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    native = {"BOOL": pa.types.is_boolean(kind), "BYTES": False}.get(column.datatype, number)
    return bool(native or pa.types.is_string(kind))


def read_column(cells: pa.Array, column: Column) -> tuple[Array, dict[int, str]]:
    """A column's values, as `model.columns.to_arrays` has them, and what is wrong with which cell.

    Arrow reads the numbers that are surely such. Of the other cells, those that are equal are
    parsed once, as the contract says.

    Args:
        cells: of a type that is readable; a null is a missing value, and so is a NaN.

    Returns:
        The values, of which those of the faulty cells mean nothing; and each fault by its position.
    """
    texts = column.datatype == "BYTES"
    values = np.full(len(cells), "" if texts else np.nan, object if texts else np.float64)
    if column.datatype in ("FP64", "INT64") or not pa.types.is_string(cells.type):
        with suppress(pa.ArrowInvalid):  # a cell is no number; which one, Arrow does not say
            values = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False).copy()
    sure = np.zeros(len(cells), bool) if texts else np.isfinite(values)
    if column.datatype == "INT64":
        sure &= (np.abs(values) < EXACT) & (values == np.floor(values))
    rest = np.flatnonzero(~sure)
    encoded = cells.take(pa.array(rest)).dictionary_encode(null_encoding="encode")
    parsed = np.full(len(encoded.dictionary), "" if texts else np.nan, values.dtype)
    wrong: dict[int, str] = {}
    for code, text in enumerate(map(text_of, encoded.dictionary.to_pylist())):
        try:
            if text:
                parsed[code] = DATATYPES[column.datatype].parse(text)
            elif not column.optional:
                wrong[code] = "is missing a value"
        except ValueError as error:
            wrong[code] = str(error)
    codes = encoded.indices.to_numpy()
    values[rest] = parsed[codes]
    faulty = np.flatnonzero(np.isin(codes, list(wrong)))
    return values, {int(rest[position]): wrong[codes[position]] for position in faulty}


def text_of(value: Any) -> str:
    """A value of a table as a cell of text: empty where it is missing."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
