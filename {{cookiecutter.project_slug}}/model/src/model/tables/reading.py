"""Files of rows, CSV or Parquet, in batches of bounded size.

Where a batch ends depends on nothing but where it begins, so that a resumed job reads the batches
that it would have read.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, repeat
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv, parquet

from contract.names import find_columns
from model.errors import ModelError

BATCH_ROWS = 10_000
"""Rows in a batch, at most."""
BATCH_BYTES = 2**21
"""Bytes of a Parquet file that become one batch, about."""
BLOCK_BYTES = 2**20
"""Bytes of a CSV file that are looked at together; no row is longer."""

BOM = b"\xef\xbb\xbf"
CELL = rb'(?: [^",\r\n][^,\r\n]* | (?:"[^"]*")* )'
ROWS = rb"(?: (?: [^\"\r\n]* | CELL (?: , CELL )* ) \r*\n ){1,%d}"
"""Rows, blank lines among them; Arrow tells whether they have as many cells as they must."""
LINE = rb"""
      (?P<blank> \r*\n )
    | (?P<row> CELLS \r*\n )
    | (?P<uneven> (?: [^"\r\n]* | CELL (?: , CELL )* ) \r*\n )
    | (?P<cut> (?!\Z) (?: [^\n]*\Z | (?: CELL , )* (?: CELL | (?: "[^"]*" )* "[^"]* ) \r*\Z ) )
    | (?P<malformed> [^\n]*\n )
"""
"""What stands where a row begins; `cut` is the end of a block that may be the beginning of one."""
FAULTS = {
    "row": "is not UTF-8",
    "cut": "has a quote that is not closed, or is too long",
    "uneven": "has more or fewer cells than the header",
    "malformed": "has quotes that do not match, or a carriage return outside of quotes",
}
STATE = attrgetter("st_ino", "st_size", "st_mtime_ns")
"""What changes when a file does."""
Numbers = npt.NDArray[np.int64]


class Place(NamedTuple):
    """What comes before a batch: bytes of a CSV file or rows of a Parquet file; rows; lines."""

    offset: int = 0
    row: int = 0
    line: int = 0


@dataclass(frozen=True)
class Batch:
    """Some rows, in their order.

    Attributes:
        start, end: where it begins, and where the next batch does.
        cells: of each row: strings in a CSV file; null where there is nothing.
        malformed: what is wrong with a line that is no row, by position; its cells are null.
        lines: the number of the line on which each row of a CSV file begins.
    """

    start: Place
    end: Place
    cells: pa.RecordBatch
    malformed: dict[int, str]
    lines: Iterable[int | None]


class Table(ABC):
    """A file of rows.

    Args:
        names: columns that are to have these names, whatever header becomes them.

    Attributes:
        schema: the columns, as the batches have them.
        start: where the first batch begins.
        size: the offset at which the last one ends.

    Raises:
        OSError, ValueError: it cannot be read.
    """

    schema: pa.Schema
    start = Place()
    size: int

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        self._path, self._known = path, names
        self._state = STATE(path.stat())

    def batches(self, place: Place) -> Iterator[Batch]:
        """The batches from this place on; raises ModelError if the file was changed meanwhile."""
        yield from self._batches(place)
        if STATE(self._path.stat()) != self._state:
            raise ModelError(f"{self._path}: changed while it was read; start again")

    def _named(self, headers: Sequence[str]) -> list[str]:
        """What the columns with these headers are called."""
        known = {place: name for name, place in find_columns(headers, self._known).items()}
        return [known.get(place, header) for place, header in enumerate(headers)]

    @abstractmethod
    def _batches(self, place: Place) -> Iterator[Batch]: ...


class CsvTable(Table):
    """A CSV file as RFC 4180 has it, in UTF-8 with a header; lines may end in LF alone.

    Regular expressions tell rows from lines that are no row; Arrow reads the cells of the rows.
    """

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        super().__init__(path, names)
        self.size = path.stat().st_size
        with path.open("rb") as file:
            data = self._block(file, 0)
        header = _compiled(ROWS % 1).match(data, len(BOM) * data.startswith(BOM))
        if header is None or not header[0].strip():
            raise ValueError("line 1 is not a header")
        names = self._named(csv.read_csv(pa.BufferReader(header[0])).column_names)
        self.schema = pa.schema([(name, pa.string()) for name in names])
        self.start = Place(header.end(), 0, header[0].count(b"\n"))
        self._rows = _compiled(ROWS % BATCH_ROWS)
        self._line = _compiled(LINE, len(names))

    def _batches(self, place: Place) -> Iterator[Batch]:
        with self._path.open("rb") as file:
            while data := self._block(file, place.offset):
                malformed: dict[int, str] = {}
                rows = self._rows.match(data)
                end = rows.end() if rows else 0
                try:
                    cells = self._read(data[:end])
                except pa.ArrowInvalid:  # none, more or fewer cells, or not UTF-8
                    lines, end = self._lines(file, data, place.offset)
                    faults = enumerate(map(_fault, lines))
                    malformed = {position: fault for position, fault in faults if fault}
                    nulls = b'""' + b"," * (len(self.schema) - 1) + b"\n"
                    good = [nulls if at in malformed else line[0] for at, line in enumerate(lines)]
                    cells = self._read(b"".join(good))
                newlines = data.count(b"\n", 0, end) + (end > len(data))
                offset = min(place.offset + end, self.size)
                after = Place(offset, place.row + cells.num_rows, place.line + newlines)
                numbers = islice(self._numbers(data, place.line + 1), cells.num_rows)
                yield Batch(place, after, cells, malformed, numbers)
                place = after

    def _block(self, file: BinaryIO, offset: int) -> bytes:
        """What stands here; a newline is added at the end of a file that has none."""
        file.seek(offset)
        data = file.read(min(BLOCK_BYTES, self.size - offset))
        ended = offset + len(data) < self.size or data.endswith(b"\n")
        return data if ended or not data else data + b"\n"

    def _read(self, rows: bytes) -> pa.RecordBatch:
        """The cells of rows; ArrowInvalid if there are none, or Arrow cannot read them."""
        names, size = self.schema.names, len(rows) + 1
        table = csv.read_csv(
            pa.BufferReader(b"\n" * bool(rows) + rows),  # Arrow drops a BOM at the very start
            csv.ReadOptions(column_names=names, block_size=size, use_threads=False),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=self.schema, strings_can_be_null=True, null_values=[""]
            ),
        )
        columns = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _lines(self, file: BinaryIO, data: bytes, offset: int) -> tuple[list[re.Match[bytes]], int]:
        """What stands at the start of a block, whatever it is, and where that ends."""
        lines = list(islice(self._line.finditer(data), BATCH_ROWS))
        end = lines[-1].end()
        if lines[-1].lastgroup == "cut":
            end = lines[-1].start()
            if end and offset + len(data) < self.size:
                lines.pop()  # it begins the next batch, with a whole block to look at
            else:  # its line is malformed, however long that is
                file.seek(offset + end)
                while (piece := file.readline(BLOCK_BYTES)) and not piece.endswith(b"\n"):
                    pass
                end = file.tell() - offset
        return [line for line in lines if line.lastgroup != "blank"], end

    def _numbers(self, data: bytes, number: int) -> Iterator[int]:
        for line in self._line.finditer(data):
            if line.lastgroup != "blank":
                yield number
            number += line[0].count(b"\n")


class ParquetTable(Table):
    """A Parquet file; the offset of a place counts rows."""

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        super().__init__(path, names)
        with parquet.ParquetFile(path) as file:
            self.size = file.metadata.num_rows
            found = file.schema_arrow
        types = map(_plain_type, found.types)
        self.schema = pa.schema(zip(self._named(found.names), types, strict=True))
        self._batch_rows = min(BATCH_ROWS, 1 + self.size * BATCH_BYTES // path.stat().st_size)

    def _batches(self, place: Place) -> Iterator[Batch]:
        done = 0
        unbuffered = {"buffer_size": BLOCK_BYTES, "pre_buffer": False}  # no whole row groups
        with parquet.ParquetFile(self._path, **unbuffered) as file:
            for cells in file.iter_batches(self._batch_rows, use_threads=False):
                done += cells.num_rows
                if done > place.row:
                    end = Place(done, done)
                    named = cells.rename_columns(self.schema.names).cast(self.schema)
                    yield Batch(place, end, named, {}, repeat(None))
                    place = end


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that stands for the same values without a dictionary, a view or large offsets."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    texts = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if texts or pa.types.is_null(kind) else kind


def _compiled(pattern: bytes, width: int = 1) -> re.Pattern[bytes]:
    pattern = pattern.replace(b"CELLS", b" , ".join([b"CELL"] * width))
    return re.compile(pattern.replace(b"CELL", CELL), re.VERBOSE)


def _fault(line: re.Match[bytes]) -> str:
    """What is wrong with a line; nothing if it is a row."""
    with suppress(UnicodeDecodeError):
        line[0].decode()
        if line.lastgroup == "row":
            return ""
    text = line[0].partition(b"\n")[0].decode("utf-8", "backslashreplace").rstrip("\r")
    return f"{FAULTS[line.lastgroup or '']}: {text!r:.200}"
