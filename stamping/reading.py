"""A CSV file as people have it: its encoding, its delimiter, its header, and its rows in chunks."""

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

CHUNK_ROWS = 2000
"""Rows that are looked at together: few, so that their cells stay in the processor's cache."""
BLOCK_BYTES = 2**20
"""Bytes that are looked at together."""
LOOK_ROWS = 100
"""Rows by which the delimiter is recognised."""

BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ENCODINGS = {"utf-16": "UTF-16", "cp1252": "Windows-1252", "latin-1": "Latin-1"}
"""What people call the encodings other than UTF-8."""
NOT_WINDOWS = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that are no character in Windows-1252."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Source:
    """A CSV file and how it is read.

    Attributes:
        encoding: as Python calls it.
        header: the headers of its columns, as they stand there.
    """

    path: Path
    encoding: str
    delimiter: str
    header: list[str]

    @property
    def remarks(self) -> list[str]:
        """What is not plain about it."""
        encoding, delimiter = ENCODINGS.get(self.encoding), DELIMITERS[self.delimiter]
        remarks = [f"encoded in {encoding}"] if encoding else []
        return remarks if self.delimiter == "," else [*remarks, f"separated by {delimiter}"]

    def chunks(self) -> Iterator[list[tuple[str, ...]]]:
        """The cells of its columns, some rows at a time; a blank line is no row.

        Raises:
            ValueError: what is wrong with it.
        """
        with self._rows() as reader:
            rows, start, width = filter(None, reader), 0, len(self.header)
            while some := list(islice(rows, CHUNK_ROWS)):
                if set(map(len, some)) != {width}:
                    at = next(at for at, row in enumerate(some) if len(row) != width)
                    where = f"row {start + at + 1} (line {self.line_of(start + at)})"
                    raise ValueError(f"has {len(some[at])} cells in {where}, not {width}")
                yield list(zip(*some, strict=True))
                start += len(some)

    def line_of(self, row: int) -> int:
        """The line on which a row ends; rows are counted from 0, lines from 1."""
        with self._rows() as reader:
            next(islice(filter(None, reader), row, None))
            line: int = reader.line_num
            return line

    @contextmanager
    def _rows(self) -> Iterator[Any]:
        with _readable(), self.path.open(encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            next(filter(None, reader), None)
            yield reader


def look(path: Path) -> Source:
    """How a file is read.

    Raises:
        ValueError: what is wrong with it.
    """
    with _readable():
        encoding = _encoding_of(path)
        readings = {each: _read_some(path, encoding, each) for each in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda each: _regularity(readings[each]))
    source = Source(path, encoding, delimiter, next(iter(readings[delimiter]), []))
    if not source.header:
        next(source.chunks(), None)  # tells what else may be wrong
        raise ValueError("is empty")
    return source


def _encoding_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        for bom, encoding in BOMS.items():
            if start.startswith(bom):
                return encoding
        file.seek(0)
        decoder, is_utf8, is_windows = codecs.getincrementaldecoder("utf-8")(), True, True
        while block := file.read(BLOCK_BYTES):
            if b"\0" in block:
                raise ValueError("is no CSV: it holds bytes that are no text")
            is_windows = is_windows and not any(byte in block for byte in NOT_WINDOWS)
            try:
                decoder.decode(block, final=len(block) < BLOCK_BYTES)
            except UnicodeDecodeError:
                is_utf8 = False
    if is_utf8:
        return "utf-8"
    return "cp1252" if is_windows else "latin-1"


def _read_some(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """The first rows that have any cell, with this delimiter; fewer where they are no CSV."""
    rows: list[list[str]] = []
    with path.open(encoding=encoding, newline="") as file:
        try:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in islice(filter(None, reader), LOOK_ROWS):
                rows.append(row)
        except csv.Error:
            pass  # said when all is read
    return rows


def _regularity(rows: list[list[str]]) -> tuple[int, int]:
    """How many rows have as many cells as the header, and how many that is."""
    widths = list(map(len, rows)) or [0]
    return (widths.count(widths[0]) if widths[0] > 1 else 0, widths[0])


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"is no CSV: {error}") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
