"""What a table of rows is, whatever file it is read from: batches of bounded size.

Where a batch ends follows from where it begins alone, so that who stops between two of them and
goes on later gets the batches that they would have got.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROWS = 10_000
"""Rows in a batch, at most."""
BLOCK = 2**20
"""Bytes of a file that are looked at together."""

Numbers = npt.NDArray[np.int64]


class Place(NamedTuple):
    """What lies before a batch: bytes of a CSV file or rows of a Parquet file, rows, and lines."""

    offset: int
    row: int
    line: int


class Malformed(NamedTuple):
    """What stands where a row should, and is none: its number, its line and the reason."""

    row: int
    line: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """Some rows, in their order.

    Attributes:
        cells: what stands in them: strings in a CSV file; null where there is nothing.
        rows: the number of each row.
        lines: the line on which each begins; None in a Parquet file.
        malformed: what stands among them in a CSV file and is no row of the table.
        end: where the next batch begins.
    """

    cells: pa.RecordBatch
    rows: Numbers
    lines: Numbers | None
    malformed: list[Malformed]
    end: Place


class Table(Protocol):
    """A file of rows.

    Attributes:
        schema: the columns, as the batches have them.
        size: the offset of its end.
        start: where the first batch begins.
    """

    schema: pa.Schema
    size: int
    start: Place

    def batches(self, place: Place) -> Iterator[Batch]:
        """The batches from this place on."""
