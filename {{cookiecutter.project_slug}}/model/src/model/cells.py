"""Cells of a table to typed values, as the contract wants them: one by one, or a column at once.

One by one says what is wrong with a cell. A column at once takes no Python object per number, and
asks the first for the cells that it is not sure of; so both give the same values.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract import Column
from contract.types import EXACT
from model.columns import Array
from model.training.history import read_cell


def read_column(cells: pa.Array, column: Column) -> tuple[Array, dict[int, str]]:
    """A column's values, as `model.answer.arrays_of` has them, and what is wrong with which cell.

    Args:
        cells: strings for any column; else numbers or booleans, for a column of such. A null is a
            missing value, and so is a NaN among numbers.

    Returns:
        The values, of which those of the faulty cells mean nothing; and each fault by its position.
    """
    texts = pa.types.is_string(cells.type)
    if texts and column.datatype in ("BOOL", "BYTES"):
        return _by_distinct(cells, column)
    try:
        values = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # some cell is none that Arrow calls a number; which, it does not say
        values = np.full(len(cells), np.nan)
        sure = np.zeros(len(cells), dtype=bool)
    else:
        sure = np.isfinite(values)
        if column.datatype == "INT64":
            sure &= (np.abs(values) < EXACT) & (values == np.floor(values))
        if column.optional:
            sure |= cells.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    faults: dict[int, str] = {}
    unsure = np.flatnonzero(~sure)
    if len(unsure):
        values = values.copy()
    for row, cell in zip(unsure.tolist(), cells.take(pa.array(unsure)).to_pylist(), strict=True):
        try:
            value = read_cell(text_of(cell), column)
        except ValueError as error:
            faults[row] = str(error)
        else:
            values[row] = np.nan if value is None else value
    return values, faults


def text_of(value: Any) -> str:
    """A value of a table as a cell of text: empty where it is missing."""
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _by_distinct(cells: pa.Array, column: Column) -> tuple[Array, dict[int, str]]:
    """A column of which many cells are the same: each kind of cell is read once."""
    encoded = cells.dictionary_encode()
    kinds = [*encoded.dictionary.to_pylist(), ""]  # the last one stands for null
    codes: npt.NDArray[np.int32] = encoded.indices.fill_null(len(kinds) - 1).to_numpy()
    missing = "" if column.datatype == "BYTES" else math.nan
    known: Array = np.full(len(kinds), missing, dtype=object)
    faults: dict[int, str] = {}
    for code, kind in enumerate(kinds):
        try:
            value = read_cell(kind, column)
        except ValueError as error:
            faults[code] = str(error)
        else:
            known[code] = missing if value is None else value
    values = known[codes] if column.datatype == "BYTES" else known[codes].astype(np.float64)
    faulty = np.flatnonzero(np.isin(codes, list(faults))).tolist() if faults else []
    return values, {row: faults[codes[row]] for row in faulty}
