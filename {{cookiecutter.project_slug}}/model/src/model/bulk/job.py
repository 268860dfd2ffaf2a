"""Predictions for a file of rows, in constant memory; a job that was killed is resumed.

Until it is done, a folder beside the output, `OUTPUT.part`, holds its rows as Arrow streams. What
was appended to them counts once it is on the disk and `progress.json` says so; a resumed job cuts
them back to that, and reads on from there.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from operator import ge
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import pyarrow as pa
from pydantic import BaseModel

from contract import INPUTS
from model.bulk.predicting import predict
from model.bulk.writing import WRITERS, Results, write_table
from model.engines.loading import Model
from model.errors import FAULTS, ModelError, explained
from model.tables import reading
from model.tables.cells import check_columns
from model.tables.reading import CsvTable, ParquetTable, Place, Table

SAVE_SECONDS = 1.0
"""Seconds of work that a killed process loses at most."""
TABLES: dict[str, type[Table]] = {".csv": CsvTable, ".parquet": ParquetTable}


class Progress(BaseModel):
    """How far a job is: where the next batch begins, bytes in its streams, rows of each kind."""

    facts: str
    """What the results follow from; a job of other facts starts over."""
    place: Place
    sizes: tuple[int, int] = (0, 0)
    predicted: int = 0
    rejected: int = 0


class Job:
    """Predictions for a file of rows.

    Args:
        model: what predicts.
        source: a CSV or a Parquet file.
        output: where the predictions go, in either format; by default beside the source.
        overwrite: whether the output may be there already.

    Attributes:
        output: where the predictions go.
        rejects: where the rejected rows go, if there are any.
        size: the offset of the place at which the last batch ends.

    Raises:
        ModelError: it cannot be done; nothing was written.
    """

    def __init__(
        self, model: Model, source: Path, output: Path | None = None, *, overwrite: bool = False
    ) -> None:
        with explained(source, kinds=(*FAULTS, pa.ArrowException)):
            names = [column.name for column in INPUTS]
            self._table = TABLES[_format(source)](source, names)
            check_columns(self._table.schema, INPUTS)
            self._model, self._source, self.size = model, source, self._table.size
            self.output = output or source.with_name(f"{source.stem}.predictions{source.suffix}")
            stem = self.output.stem.removesuffix(".predictions")
            self.rejects = self.output.with_name(f"{stem}.rejected.csv")
            self._folder = self.output.with_name(f"{self.output.name}.part")
            self._paths = self._folder / "predicted.arrow", self._folder / "rejected.arrow"
            self._results = Results(self._table.schema, model.manifest)
            writer = WRITERS[_format(self.output)]  # which may not support the type of a column
            writer(pa.BufferOutputStream(), self._results.predicted).close()
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            batches = [reading.BATCH_ROWS, reading.BATCH_BYTES, reading.BLOCK_BYTES]
            self._facts = f"{digest} by {model.manifest.version} in batches of {batches}"
            for path in filter(Path.exists, (self.output, self.rejects)):
                if path.samefile(source):
                    raise ModelError(f"{path}: is what is to be read; give another --output")
                if not overwrite and self._saved() is None:
                    raise ModelError(f"{path}: is there already; move it away, or give --overwrite")

    def run(self) -> Generator[Progress, None, None]:
        """Predict, from where the job was left; how far it is, at first and after each batch.

        Raises:
            ModelError: it cannot go on, and why.
        """
        remedy = "once that is put right, the same command goes on where it was"
        where, kinds = f"{self._source} to {self.output}", (*FAULTS, pa.ArrowException)
        with explained(where, remedy, kinds):
            self._folder.mkdir(exist_ok=True)
            with self._paths[0].open("ab") as predicted, self._paths[1].open("ab") as rejected:
                self._lock(predicted)
                for progress in self._append((predicted, rejected)):
                    yield progress
                if progress.rejected:
                    write_table(self._paths[1], self.rejects)
                else:
                    self.rejects.unlink(missing_ok=True)  # of what is overwritten
                write_table(self._paths[0], self.output)
                shutil.rmtree(self._folder)

    def _lock(self, stream: BinaryIO) -> None:
        """Let no other process append to this stream."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(stream.fileno()), self._paths[0].stat()):
                raise BlockingIOError  # the one that had it has finished, and another began
        except BlockingIOError:
            raise ModelError(f"{self.output}: another process is writing it") from None

    def _append(self, streams: tuple[BinaryIO, BinaryIO]) -> Iterator[Progress]:
        """Append what is left to be done."""
        progress = self._saved() or Progress(facts=self._facts, place=self._table.start)
        yield progress
        schemas = self._results.predicted, self._results.rejected
        for stream, size, schema in zip(streams, progress.sizes, schemas, strict=True):
            stream.truncate(size)
            stream.seek(size)
            if not size:
                stream.write(schema.serialize())
        saved = monotonic()
        for batch in self._table.batches(progress.place):
            parts, faults = predict(self._model, batch)
            for rows, predictions in parts:
                streams[0].write(self._results.predict(batch, rows, predictions).serialize())
            if faults:
                streams[1].write(self._results.reject(batch, faults).serialize())
            progress = Progress(
                facts=self._facts,
                place=batch.end,
                sizes=(streams[0].tell(), streams[1].tell()),
                predicted=progress.predicted + batch.cells.num_rows - len(faults),
                rejected=progress.rejected + len(faults),
            )
            if monotonic() - saved >= SAVE_SECONDS:
                self._save(streams, progress)
                saved = monotonic()
            yield progress
        self._save(streams, progress)

    def _save(self, streams: Iterable[BinaryIO], progress: Progress) -> None:
        """Make what was appended count."""
        new = self._folder / "progress.new"
        with new.open("wb") as file:
            file.write(progress.model_dump_json().encode())
            for each in (*streams, file):
                each.flush()
                os.fsync(each.fileno())
        new.replace(self._folder / "progress.json")

    def _saved(self) -> Progress | None:
        """How far this very job was when it was left; None if there is nothing to resume."""
        with suppress(OSError, ValueError):
            saved = Progress.model_validate_json((self._folder / "progress.json").read_bytes())
            sizes = [path.stat().st_size for path in self._paths]
            if saved.facts == self._facts and all(map(ge, sizes, saved.sizes)):
                return saved
        return None


def _format(path: Path) -> str:
    if path.suffix.lower() not in TABLES:
        raise ValueError(f"the name of a table ends in {' or '.join(TABLES)}")
    return path.suffix.lower()
