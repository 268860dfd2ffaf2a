"""A CSV file as a table."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from model.bulk.tables import BLOCK, ROWS, Batch, Malformed, Numbers, Place
from model.errors import ModelError

BOM = b"\xef\xbb\xbf"
NEWLINE, RETURN, QUOTE, COMMA = b'\n\r",'

csv.field_size_limit(BLOCK)


class CsvTable:
    """A CSV file in UTF-8 with a header, as RFC 4180 has it; lines may end in LF alone.

    A block that is plainly in order is read by Arrow. Any other is read row by row by Python's
    `csv`, which gives the same, and says what is wrong with a row that is none: where its quotes do
    not match, its first line is set aside, and the next line begins another row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            data = file.read(BLOCK)
        header, fault, end = _row(data, len(BOM) * data.startswith(BOM))
        if fault or not _is_utf8(header):
            raise ValueError(f"line 1 {fault or 'is not UTF-8'}")
        self.schema = pa.schema([(name, pa.string()) for name in header])
        self.start = Place(end, 0, data.count(b"\n", 0, end))
        self._convert = pyarrow.csv.ConvertOptions(
            column_types=self.schema, strings_can_be_null=True, null_values=[""]
        )

    def batches(self, place: Place) -> Iterator[Batch]:
        """The batches from this place on.

        Raises:
            ModelError: the file cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                while place.offset < self.size:
                    file.seek(place.offset)
                    data = file.read(BLOCK)
                    if not data:
                        raise ModelError(f"{self._path}: became shorter while it was read")
                    last = place.offset + len(data) >= self.size
                    batch = self._plain(data, last, place) or self._careful(data, last, place)
                    place = batch.end
                    yield batch
        except OSError as error:
            raise ModelError(f"{self._path}: {error.strerror or error}") from None

    def _plain(self, data: bytes, last: bool, place: Place) -> Batch | None:
        """The rows at the start of a block, read by Arrow; None if anything among them is odd."""
        content = np.frombuffer(data, np.uint8)
        newlines = np.flatnonzero(content == NEWLINE)
        quotes = np.flatnonzero(content == QUOTE)
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0][:ROWS] + 1
        if last and len(ends) < ROWS and not data.endswith(b"\n"):
            ends = np.append(ends, len(data))
        if not len(ends):
            return None
        size = int(ends[-1])
        # Arrow takes a mark at the start of a block for that of a file.
        if data.startswith(BOM) or not _well_quoted(content[:size], quotes[quotes < size]):
            return None
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(pa.py_buffer(data)[:size]),
                pyarrow.csv.ReadOptions(
                    column_names=self.schema.names, use_threads=False, block_size=size
                ),
                pyarrow.csv.ParseOptions(newlines_in_values=True),
                self._convert,
            )
        except pa.ArrowInvalid:  # too few cells on a line or too many, or what is not UTF-8
            return None
        starts = np.append(0, ends[:-1])
        starts = starts[(content[starts] != NEWLINE) & (content[starts] != RETURN)]  # not blank
        if len(starts) != table.num_rows:  # Arrow takes a lone return for the end of a line
            return None
        columns = [column.combine_chunks() for column in table.columns]
        return Batch(
            pa.RecordBatch.from_arrays(columns, schema=self.schema),
            place.row + np.arange(1, len(starts) + 1),
            place.line + 1 + np.searchsorted(newlines, starts),
            [],
            Place(
                place.offset + size,
                place.row + len(starts),
                place.line + int(np.searchsorted(newlines, size)),
            ),
        )

    def _careful(self, data: bytes, last: bool, place: Place) -> Batch:
        """The rows at the start of a block, one by one, and what is none."""
        width = len(self.schema)
        read: list[list[str]] = []
        rows: list[int] = []
        lines: list[int] = []
        malformed: list[Malformed] = []
        at, row, line = 0, place.row, place.line
        while at < len(data) and row < place.row + ROWS:
            cells, fault, end = _row(data, at)
            if not last and end == len(data) and (fault or not data.endswith(b"\n")):
                if at:
                    break  # it may go on after this block: it begins the next one
                fault = f"is longer than {BLOCK:,} bytes, or its quotes do not match"
            if fault:
                end = data.find(b"\n", at) + 1 or self._next_line(place.offset + at) - place.offset
            elif len(cells) not in (0, width):
                fault = f"has {len(cells)} cells, not {width}"
            elif not _is_utf8(cells):
                fault = "is not UTF-8"
            row += bool(cells or fault)
            if fault:
                text = data[at:end].decode("utf-8", "backslashreplace").rstrip("\r\n")
                malformed.append(Malformed(row, line + 1, f"{fault}: {text!r:.200}"))
            elif cells:
                read.append(cells)
                rows.append(row)
                lines.append(line + 1)
            line += data.count(b"\n", at, end) + (end > len(data))
            at = end
        columns = zip(*read, strict=True) if read else [()] * width
        arrays = [pa.array([cell or None for cell in each], pa.string()) for each in columns]
        return Batch(
            pa.RecordBatch.from_arrays(arrays, schema=self.schema),
            np.array(rows, np.int64),
            np.array(lines, np.int64),
            malformed,
            Place(place.offset + at, row, line),
        )

    def _next_line(self, offset: int) -> int:
        """Where the line after this one begins, however long this one is."""
        with self._path.open("rb") as file:
            file.seek(offset)
            while (piece := file.readline(BLOCK)) and not piece.endswith(b"\n"):
                pass
            return file.tell()


def _row(data: bytes, start: int) -> tuple[list[str], str, int]:
    """The cells of the row that starts here, what is wrong with it, and where it ends.

    A blank line has no cells.
    """
    end = start

    def lines() -> Iterator[str]:
        nonlocal end
        while end < len(data):
            stop = data.find(b"\n", end) + 1 or len(data)
            text = data[end:stop].decode("utf-8", "surrogateescape")
            end = stop
            yield text

    try:
        return next(csv.reader(lines(), strict=True), []), "", end
    except csv.Error as error:
        return [], f"is no row ({error})", end


def _is_utf8(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def _well_quoted(content: npt.NDArray[np.uint8], quotes: Numbers) -> bool:
    """Whether the quotes come in pairs around whole cells; one within a cell is doubled.

    Args:
        content: whole rows.
        quotes: where their quotes are.
    """
    if len(quotes) % 2:
        return False
    around = np.pad(content, 1, constant_values=NEWLINE)  # what was at n is at n + 1
    before, after = around[quotes[::2]], around[quotes[1::2] + 2]
    opens = np.isin(before, (COMMA, NEWLINE, QUOTE))
    closes = np.isin(after, (COMMA, NEWLINE, RETURN, QUOTE))
    return bool(opens.all() and closes.all())
