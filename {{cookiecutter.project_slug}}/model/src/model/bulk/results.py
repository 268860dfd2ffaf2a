"""The predictions of a table as a table: its columns, and how it grows in a file.

It grows by appending, and goes back to where it was by truncating. A Parquet file allows neither,
so until all rows are there an Arrow stream stands for it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from contract import FEATURES, TARGET
from model.artifacts.manifest import Manifest
from model.bulk.tables import Batch
from model.cells import text_of
from model.engines.predictions import Predictions as Answer

ROW = "row"
"""The number of a row; a column of that name that the table has itself stands in its place."""
REJECTED = ("rejected_line", "rejected_column", "rejected_reason")
"""Why a row was set aside; not copied from a table of such rows that was put right."""
TYPES = {"FP64": pa.float64(), "BOOL": pa.bool_(), "BYTES": pa.string()}
GROUP = 100_000
"""Rows in a row group of a Parquet file, about."""


class Results:
    """What is told of each row: its number, the columns that are no features, the prediction.

    Attributes:
        schema: the columns.

    Raises:
        ValueError: the table has a column that is called as one of the prediction's.
    """

    def __init__(self, table: pa.Schema, manifest: Manifest) -> None:
        known = {each.name for each in FEATURES} | {ROW, *REJECTED}
        copied = [each for each in table if each.name not in known]
        told = [pa.field(f"expected_{TARGET.name}", TYPES[TARGET.datatype])]
        told += [pa.field(f"probability_{name}", pa.float64()) for name in manifest.classes or []]
        told += [pa.field("model_version", pa.string())]
        clash = {each.name for each in copied} & {each.name for each in told}
        if clash:
            raise ValueError(f"the predictions have a {', '.join(sorted(clash))} too; rename it")
        row = table.field(ROW) if ROW in table.names else pa.field(ROW, pa.int64())
        self.schema = pa.schema([row, *copied, *told])
        self._copied = [each.name for each in copied]
        self._version = manifest.version

    def of(self, batch: Batch, kept: npt.NDArray[np.intp], answer: Answer) -> pa.RecordBatch:
        """The results for the rows of a batch at these positions, in their order."""
        cells = batch.cells if len(kept) == len(batch.rows) else batch.cells.take(pa.array(kept))
        columns: list[Any] = [cells[ROW] if ROW in cells.schema.names else batch.rows[kept]]
        columns += [cells[name] for name in self._copied]
        columns += [answer.values]
        columns += [] if answer.probabilities is None else list(answer.probabilities.T)
        columns += [pa.repeat(self._version, len(kept))]
        return pa.RecordBatch.from_arrays(
            [
                each if isinstance(each, pa.Array) else pa.array(each, field.type)
                for each, field in zip(columns, self.schema, strict=True)
            ],
            schema=self.schema,
        )


class Format(Protocol):
    """How results stand in a file."""

    def head(self) -> bytes:
        """What stands before the first row."""

    def lines(self, results: pa.RecordBatch) -> bytes:
        """What stands there for some rows."""

    def finish(self, path: Path, final: Path) -> None:
        """Put the file, which has all rows now, in its place; may be done again."""


class CsvFormat:
    """CSV in UTF-8, with quotes where a cell needs them.

    Raises:
        ValueError: a column cannot stand in CSV.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        for each in schema:
            try:
                pc.cast(pa.array([], each.type), pa.string())
            except pa.ArrowNotImplementedError:
                raise ValueError(
                    f"column {each.name} is of type {each.type}, which CSV cannot hold; write"
                    " Parquet, or leave it out"
                ) from None

    def head(self) -> bytes:
        """The line of names."""
        return _lines([pa.array([name]) for name in self._schema.names])

    def lines(self, results: pa.RecordBatch) -> bytes:
        """One line per row."""
        return _lines(results.columns)

    def finish(self, path: Path, final: Path) -> None:
        """Put the file in its place."""
        os.replace(path, final)


class ParquetFormat:
    """A Parquet file, kept as an Arrow stream until it is finished."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def head(self) -> bytes:
        """The schema."""
        return bytes(self._schema.serialize())

    def lines(self, results: pa.RecordBatch) -> bytes:
        """One record batch."""
        return bytes(results.serialize())

    def finish(self, path: Path, final: Path) -> None:
        """Write the stream's rows as Parquet, in its place."""
        new = path.with_suffix(".new")
        waiting: list[pa.RecordBatch] = []
        with pa.OSFile(str(path)) as file, pyarrow.parquet.ParquetWriter(new, self._schema) as out:
            for batch in pa.ipc.open_stream(file):
                waiting.append(batch)
                if sum(each.num_rows for each in waiting) >= GROUP:
                    out.write_table(pa.Table.from_batches(waiting))
                    waiting.clear()
            out.write_table(pa.Table.from_batches(waiting, self._schema))
        os.replace(new, final)


def rejected_head(table: pa.Schema) -> bytes:
    """The names of the columns of the rows that are set aside: why, and the cells as they stood."""
    return _lines([pa.array([name]) for name in (ROW, *REJECTED, *_raw(table))])


def rejected_lines(batch: Batch, faults: Mapping[int, tuple[str, str]]) -> bytes:
    """The rows of a batch that are set aside, in their order.

    Args:
        faults: of the rows at these positions the column at fault and the reason.
    """
    raw = _raw(batch.cells.schema)
    own = ROW in batch.cells.schema.names
    rows: dict[int, list[str]] = {}
    for row, line, reason in batch.malformed:
        rows[row] = ["" if own else str(row), str(line), "", reason, *[""] * len(raw)]
    faulty = batch.cells.take(pa.array(list(faults), "int64")).to_pylist()
    for position, cells in zip(faults, faulty, strict=True):
        row = int(batch.rows[position])
        number = text_of(cells[ROW]) if own else str(row)
        begins = "" if batch.lines is None else str(batch.lines[position])
        rows[row] = [number, begins, *faults[position], *(text_of(cells[name]) for name in raw)]
    columns = zip(*(rows[row] for row in sorted(rows)), strict=True)
    return _lines([pa.array(column, pa.string()) for column in columns])


def _raw(table: pa.Schema) -> list[str]:
    return [name for name in table.names if name not in (ROW, *REJECTED)]


def _lines(columns: list[pa.Array]) -> bytes:
    """Columns as lines of CSV; there is at least one row."""
    cells = [_cells(column) for column in columns]
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace")
    text = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")
    return f"{text[0].as_py()}\n".encode()


FORMATS: dict[str, type[CsvFormat | ParquetFormat]] = {".csv": CsvFormat, ".parquet": ParquetFormat}


def _cells(column: pa.Array) -> pa.Array:
    """A column as it stands in CSV: within quotes what would be taken for something else."""
    cells = pc.cast(column, pa.string())
    if not pa.types.is_string(column.type):  # numbers, booleans, points in time
        return cells
    special = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(special).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), cells)
