"""Predictions for a file of rows: in constant memory, and from where it was left when it is killed.

What is unfinished stands in a folder beside the output, `OUTPUT.part`. Bytes that were appended
there count once `progress.json` says so, which is replaced after they are on the disk; who goes on
cuts the files back to that, and reads on from there. The final names appear at the end.
"""

import csv
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

from contract import FEATURES
from model.bulk.csv_table import CsvTable
from model.bulk.parquet_table import ParquetTable
from model.bulk.predicting import predict
from model.bulk.results import FORMATS, Results, rejected_head, rejected_lines
from model.bulk.tables import BLOCK, ROWS, Place, Table
from model.engines.loading import Model as Engine
from model.errors import ModelError

SAVE_EVERY = 1.0
"""Seconds of work that are lost at most when the process is killed."""
TABLES: dict[str, type[CsvTable | ParquetTable]] = {".csv": CsvTable, ".parquet": ParquetTable}
LAYOUT = 1
"""Of what is in the folder; another one is not gone on with."""


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        job: a digest of all that its results follow from.
        place: where the next batch begins.
        sizes: bytes of the output and of the rejected rows.
        predicted: rows that have a prediction.
        rejected: rows that were set aside.
    """

    job: str
    place: Place
    sizes: tuple[int, int] = (0, 0)
    predicted: int = 0
    rejected: int = 0


class Job:
    """Predictions for a file of rows.

    Args:
        engine: what predicts.
        source: a CSV or a Parquet file.
        output: where the predictions go, in either format; by default beside the source.
        overwrite: whether the output may be there already.

    Attributes:
        output: where the predictions go.
        rejects: where the rows that are set aside go, if there are any.
        size: the offset at which the last batch ends.

    Raises:
        ModelError: it cannot be done; nothing was written.
    """

    def __init__(
        self, engine: Engine, source: Path, output: Path | None = None, *, overwrite: bool = False
    ) -> None:
        kind = _kind(source)
        self.output = output or source.with_name(f"{source.stem}.predictions{kind}")
        stem = self.output.stem.removesuffix(".predictions")
        self.rejects = self.output.with_name(f"{stem}.rejected.csv")
        self._engine = engine
        self._source = source
        self._folder = self.output.with_name(f"{self.output.name}.part")
        self._parts = self._folder / "output", self._folder / "rejected.csv"
        try:
            self._as_found = _state(source)
            self._table = _open(source)
            self._results = Results(self._table.schema, engine.manifest)
            self._format = FORMATS[_kind(self.output)](self._results.schema)
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{source}: {error.strerror or error}") from None
        except (ValueError, csv.Error) as error:  # Arrow's errors are among the former
            raise ModelError(f"{source}: {' '.join(str(error).split())}") from None
        self.size = self._table.size
        facts = [LAYOUT, ROWS, BLOCK, digest, engine.manifest.version, _kind(self.output)]
        self._digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        for path in filter(Path.exists, (self.output, self.rejects)):
            if path.samefile(source):
                raise ModelError(f"{path}: is what is to be read; say another --output")
            if not overwrite and self._saved() is None:
                raise ModelError(f"{path}: is there already; move it away, or say --overwrite")

    def run(self) -> Generator[Progress, None, None]:
        """Predict, from where it was left; how far it is, at first and after each batch.

        Raises:
            ModelError: it cannot go on, and why.
        """
        try:
            with self._locked():
                progress = self._saved() or Progress(self._digest, self._table.start)
                yield progress
                if not progress.sizes[0] or progress.place.offset < self.size:
                    for after in self._work(progress):
                        progress = after
                        yield progress
                self._finish(progress)
        except OSError as error:
            where, fault = error.filename or self._folder, error.strerror or error
            raise ModelError(
                f"{where}: {fault}; once that is put right, the same command goes on where it was"
            ) from None
        except pa.ArrowException as error:
            raise ModelError(f"{self._folder}: {' '.join(str(error).split())}") from None

    def _work(self, progress: Progress) -> Iterator[Progress]:
        """Append the results of what is left."""
        with self._parts[0].open("ab") as output, self._parts[1].open("ab") as rejects:
            files = output, rejects
            for file, size in zip(files, progress.sizes, strict=True):
                file.truncate(size)
                file.seek(size)
            if not progress.sizes[0]:
                output.write(self._format.head())
                rejects.write(rejected_head(self._table.schema))
            since = monotonic()
            for batch in self._table.batches(progress.place):
                good, answer, faults = predict(self._engine, batch.cells)
                if answer is not None:
                    output.write(self._format.lines(self._results.of(batch, good, answer)))
                if faults or batch.malformed:
                    rejects.write(rejected_lines(batch, faults))
                progress = progress._replace(
                    place=batch.end,
                    predicted=progress.predicted + len(good),
                    rejected=progress.rejected + len(faults) + len(batch.malformed),
                )
                if monotonic() - since >= SAVE_EVERY:
                    progress = self._save(progress, files)
                    since = monotonic()
                yield progress
            if _state(self._source) != self._as_found:
                raise ModelError(f"{self._source}: changed while it was read; start again")
            self._save(progress, files)

    def _save(self, progress: Progress, files: tuple[BinaryIO, BinaryIO]) -> Progress:
        """Make what was appended count."""
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        progress = progress._replace(sizes=(files[0].tell(), files[1].tell()))
        new = self._folder / "progress.new"
        with new.open("w", encoding="utf-8") as text:
            json.dump(progress._asdict(), text)
            text.flush()
            os.fsync(text.fileno())
        new.replace(self._folder / "progress.json")
        return progress

    def _saved(self) -> Progress | None:
        """How far this job was when it was left; None when there is nothing to go on with."""
        try:
            said = json.loads((self._folder / "progress.json").read_text("utf-8"))
            place, sizes = Place(*said.pop("place")), tuple(said.pop("sizes"))
            progress = Progress(place=place, sizes=sizes, **said)
            # The files of a job that is done may be in their final places.
            if place.offset < self.size:
                for path, size in zip(self._parts, sizes, strict=True):
                    if path.stat().st_size < size:
                        return None
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return progress if progress.job == self._digest else None

    def _finish(self, progress: Progress) -> None:
        """Put everything in its final place; done again, it does what is left of that."""
        output, rejects = self._parts
        if not progress.rejected:
            self.rejects.unlink(missing_ok=True)  # of what is overwritten
        elif rejects.exists():
            rejects.replace(self.rejects)
        if output.exists():
            self._format.finish(output, self.output)
        shutil.rmtree(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder, for this process alone."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "lock"
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except (BlockingIOError, FileNotFoundError):
                mine = False
            if not mine:  # or another has finished since
                raise ModelError(f"{self.output}: another process is writing it")
            yield


def _kind(path: Path) -> str:
    """The suffix of a table's name.

    Raises:
        ModelError: it is of no kind that is known.
    """
    kind = path.suffix.lower()
    if kind not in TABLES:
        raise ModelError(f"{str(path)!r:.60}: a table's name ends in {' or '.join(TABLES)}")
    return kind


def _open(path: Path) -> Table:
    """The rows in a file.

    Raises:
        ValueError: naming what does not fit the contract.
    """
    table = TABLES[_kind(path)](path)
    names = table.schema.names
    missing = [each.name for each in FEATURES if not each.optional and each.name not in names]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    for fault, which in (("has no", missing), ("has twice the", twice)):
        if which:
            raise ValueError(f"{fault} column {', '.join(which)}; its columns are {names!r:.300}")
    return table


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
