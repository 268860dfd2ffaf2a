"""Predictions for a file of rows, in constant memory; a job that was killed is resumed.

Until it is done, a folder beside the output, `OUTPUT.part`, holds its rows as Arrow streams. What
was appended to them counts once it is on the disk and `progress.json` says so; a resumed job cuts
them back to that, and reads on from there.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from contract import INPUTS
from model.bulk import reading
from model.bulk.predicting import is_readable, predict
from model.bulk.reading import CsvTable, ParquetTable, Place
from model.bulk.writing import WRITERS, Results, write_table
from model.engines.loading import Model
from model.errors import ModelError

SAVE_SECONDS = 1.0
"""Work that is lost at most when the process is killed."""
TABLES: dict[str, type[CsvTable | ParquetTable]] = {".csv": CsvTable, ".parquet": ParquetTable}
Streams = tuple[BinaryIO, BinaryIO]


class Progress(NamedTuple):
    """How far a job is: where the next batch begins, bytes in its streams, rows of each kind."""

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
        with _explained(source):
            self._table = _open(source)
        self.output = output or source.with_name(f"{source.stem}.predictions{source.suffix}")
        stem = self.output.stem.removesuffix(".predictions")
        self.rejects = self.output.with_name(f"{stem}.rejected.csv")
        self._model, self._source = model, source
        self._folder = self.output.with_name(f"{self.output.name}.part")
        self._paths = self._folder / "predicted.arrow", self._folder / "rejected.arrow"
        with _explained(source):
            self._found = _state(source)
            self._results = Results(self._table.schema, model.manifest)
            writer = WRITERS[_format(self.output)]  # which may not support the type of a column
            writer(pa.BufferOutputStream(), self._results.predicted).close()
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.size = self._table.size
        self._facts = [digest, model.manifest.version, reading.BATCH_ROWS, reading.BLOCK_BYTES]
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
        remedy = "; once that is put right, the same command goes on where it was"
        with _explained(f"{self._source} to {self.output}", remedy), self._streams() as streams:
            progress = self._saved() or Progress(self._table.start)
            yield progress
            for after in self._append(streams, progress):
                progress = after
                yield progress
            if progress.rejected:
                write_table(self._paths[1], self.rejects)
            else:
                self.rejects.unlink(missing_ok=True)  # of what is overwritten
            write_table(self._paths[0], self.output)
            shutil.rmtree(self._folder)

    @contextmanager
    def _streams(self) -> Iterator[Streams]:
        """What is appended to, for this process alone."""
        self._folder.mkdir(exist_ok=True)
        with self._paths[0].open("ab") as predicted, self._paths[1].open("ab") as rejected:
            try:
                fcntl.flock(predicted, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(predicted.fileno()), self._paths[0].stat()):
                    raise BlockingIOError  # the one that had it has finished, and another began
            except BlockingIOError:
                raise ModelError(f"{self.output}: another process is writing it") from None
            yield predicted, rejected

    def _append(self, streams: Streams, progress: Progress) -> Iterator[Progress]:
        """Append what is left to be done."""
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
            progress = progress._replace(
                place=batch.end,
                predicted=progress.predicted + batch.cells.num_rows - len(faults),
                rejected=progress.rejected + len(faults),
            )
            if monotonic() - saved >= SAVE_SECONDS:
                progress, saved = self._save(streams, progress), monotonic()
            yield progress
        if _state(self._source) != self._found:
            raise ModelError(f"{self._source}: changed while it was read; start again")
        yield self._save(streams, progress)

    def _save(self, streams: Streams, progress: Progress) -> Progress:
        """Make what was appended count."""
        progress = progress._replace(sizes=(streams[0].tell(), streams[1].tell()))
        new = self._folder / "progress.new"
        with new.open("wb") as file:
            file.write(json.dumps([self._facts, *progress]).encode())
            for each in (*streams, file):
                each.flush()
                os.fsync(each.fileno())
        new.replace(self._folder / "progress.json")
        return progress

    def _saved(self) -> Progress | None:
        """How far this very job was when it was left; None if there is nothing to resume."""
        try:
            facts, place, sizes, *rows = json.loads((self._folder / "progress.json").read_bytes())
            cut = any(
                path.stat().st_size < size for path, size in zip(self._paths, sizes, strict=True)
            )
        except (OSError, ValueError):
            return None
        if cut or facts != self._facts:
            return None
        return Progress(Place(*place), tuple(sizes), *rows)


@contextmanager
def _explained(where: object, remedy: str = "") -> Iterator[None]:
    """Say in one line what is wrong with a file or the disk."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        fault = getattr(error, "strerror", None) or error
        raise ModelError(f"{where}: {' '.join(str(fault).split())}{remedy}") from None


def _open(path: Path) -> CsvTable | ParquetTable:
    """The rows in a file.

    Raises:
        ValueError: saying what does not fit the contract.
    """
    table = TABLES[_format(path)](path)
    names = table.schema.names
    missing = [each.name for each in INPUTS if not each.optional and each.name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    for fault, which in (("has no", missing), ("has twice the", twice)):
        if which:
            raise ValueError(f"{fault} column {', '.join(which)}; its columns are {names!r:.300}")
    for column in INPUTS:
        if column.name in names and not is_readable(table.schema.field(column.name).type, column):
            kind = table.schema.field(column.name).type
            raise ValueError(f"column {column.name} is of type {kind}, not {column.datatype}")
    return table


def _format(path: Path) -> str:
    if path.suffix.lower() not in TABLES:
        raise ValueError(f"the name of a table ends in {' or '.join(TABLES)}")
    return path.suffix.lower()


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
