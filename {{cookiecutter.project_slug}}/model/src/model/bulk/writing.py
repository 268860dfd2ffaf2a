"""What a job writes: rows with their predictions, and rejected rows with the reason."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from contract import INPUTS, TARGET
from model.artifacts.manifest import Manifest
from model.columns import text_of
from model.engines.predictions import Predictions
from model.tables.cells import Faults
from model.tables.reading import Batch, Numbers

ROW = "row"
"""The number of a row; a column of that name in the table itself stands in its place."""
REJECTED = ("rejected_line", "rejected_column", "rejected_reason")
"""Why a row was rejected; not copied from a table of such rows that was corrected."""
TYPES = {"float": pa.float64(), "bool": pa.bool_(), "category": pa.string()}
WRITERS = {".csv": csv.CSVWriter, ".parquet": parquet.ParquetWriter}
GROUP_BYTES = 2**23
"""Bytes in memory that become one row group of a Parquet file, about."""


class Results:
    """What a table's rows become.

    Attributes:
        predicted: the columns of rows with a prediction: the row, what is no input, the prediction.
        rejected: the columns of rejected rows: the row, why, and the cells as they stood, as texts.

    Raises:
        ValueError: the table has a column twice, or one that the prediction has too.
    """

    def __init__(self, table: pa.Schema, manifest: Manifest) -> None:
        names = table.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"column {', '.join(twice)} is twice; the header is {names!r:.300}")
        raw = [field for field in table if field.name not in (ROW, *REJECTED)]
        copied = [field for field in raw if field.name not in {each.name for each in INPUTS}]
        ours = {f"expected_{TARGET.name}": TYPES[TARGET.kind]}
        ours |= {f"probability_{name}": pa.float64() for name in manifest.classes or ()}
        ours |= {"model_version": pa.string()}
        if clash := {field.name for field in copied} & ours.keys():
            raise ValueError(f"the predictions have a {', '.join(sorted(clash))} too; rename it")
        row = table.field(ROW) if ROW in table.names else pa.field(ROW, pa.int64())
        self.predicted = pa.schema([row, *copied, *ours.items()])
        texts = (ROW, *REJECTED, *(field.name for field in raw))
        self.rejected = pa.schema([(name, pa.string()) for name in texts])
        self._ours = list(ours)
        self._version = manifest.version

    def predict(self, batch: Batch, rows: Numbers, predictions: Predictions) -> pa.RecordBatch:
        """The rows of a batch at these positions, with their predictions."""
        cells = batch.cells.take(pa.array(rows))
        shares = predictions.probabilities
        version = pa.repeat(self._version, len(rows))
        values = [predictions.values, *([] if shares is None else shares.T), version]
        columns = {ROW: batch.start.row + 1 + rows}
        columns |= zip(cells.schema.names, cells, strict=True)
        columns |= zip(self._ours, values, strict=True)
        return pa.record_batch([columns[name] for name in self.predicted.names], self.predicted)

    def reject(self, batch: Batch, faults: Faults) -> pa.RecordBatch:
        """The rows of a batch at these positions, in order, with what is wrong with each."""
        positions = sorted(faults)
        rows = batch.cells.take(pa.array(positions)).to_pylist()
        lines = (line for at, line in enumerate(batch.lines) if at in faults)
        for row, position, line in zip(rows, positions, lines, strict=False):
            row.setdefault(ROW, batch.start.row + 1 + position)
            row |= zip(REJECTED, (line, *faults[position]), strict=True)
        texts = [{name: text_of(cell) or None for name, cell in row.items()} for row in rows]
        return pa.RecordBatch.from_pylist(texts, self.rejected)


def write_table(stream: Path, path: Path) -> None:
    """Write an Arrow stream as a CSV or a Parquet file, which appears when it is whole."""
    new = stream.with_suffix(".new")
    with (
        pa.OSFile(str(stream)) as file,
        pa.ipc.open_stream(file) as batches,
        WRITERS[path.suffix.lower()](new, batches.schema) as writer,
    ):
        group: list[pa.RecordBatch] = []
        for batch in batches:
            group.append(batch)
            if sum(each.nbytes for each in group) >= GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group))
                group.clear()
        writer.write_table(pa.Table.from_batches(group, batches.schema))
    new.replace(path)
