"""The rows to learn from: a CSV file, read into typed columns, oldest first.

The header names the columns, in any order. The inputs and the target must be among them, but for
inputs that may be missing; any other column is ignored. An empty cell is a missing value. What
`service export` writes looks the same.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import INPUTS, TARGET, Column
from contract.types import DATATYPES
from model.artifacts.manifest import Data
from model.columns import Columns, add_derived
from model.errors import ModelError
from model.training.provenance import describe_data


@dataclass(frozen=True)
class History:
    """Rows whose target is known.

    Attributes:
        columns: each feature's float, int, bool or str per row; None where it is missing.
        targets: the target's float, bool or str per row.
        data: where the rows come from.
        warning: what is to be corrected about that, if anything.
    """

    columns: Columns
    targets: list[Any]
    data: Data
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, start: int, stop: int) -> "History":
        """The rows from `start` up to but without `stop`."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return History(columns, self.targets[start:stop], self.data)


def read_history(path: Path) -> History:
    """The rows of a CSV file, in its order, which must be oldest first.

    Raises:
        ModelError: naming the line and the column, for whatever does not fit the contract.
    """
    try:
        content = path.read_bytes()
        lines, cells = _read_cells(content.decode("utf-8-sig"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, csv.Error) as error:
        raise ModelError(f"{path}: {error}") from None
    values: dict[str, list[Any]] = {}
    for column in (*INPUTS, TARGET):
        typed = values[column.name] = []
        for line, cell in zip(lines, cells[column.name], strict=True):
            try:
                typed.append(read_cell(cell, column))
            except ValueError as error:
                raise ModelError(f"{path}, line {line}, {column.name}: {error}") from None
    targets = values.pop(TARGET.name)
    try:
        columns = add_derived(values)
    except Exception as error:  # whatever the team's own function raises
        raise ModelError(f"{path}: a derived feature: {type(error).__name__}: {error}") from error
    data, warning = describe_data(path, hashlib.sha256(content).hexdigest(), len(targets))
    return History(columns, targets, data, warning)


def read_cell(cell: str, column: Column) -> Any:
    """The float, int, bool or str in a cell of text; None where the cell is empty.

    Raises:
        ValueError: saying why there is none that the contract allows.
    """
    if cell:
        return DATATYPES[column.datatype].parse(cell)
    if not column.optional:
        raise ValueError("is missing a value")
    return None


def _read_cells(text: str) -> tuple[list[int], dict[str, list[str]]]:
    """The number of each row's line, and the cells of the columns that are wanted."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    for column in (*INPUTS, TARGET):
        count = header.count(column.name)
        if count > 1 or (count == 0 and not column.optional):
            found = "twice" if count else "missing"
            raise ValueError(f"column {column.name} is {found}; the header is {header!r:.200}")
    lines: list[int] = []
    rows: list[list[str]] = []
    for row in reader:
        if row and len(row) != len(header):
            raise ValueError(f"line {reader.line_num} has {len(row)} cells, not {len(header)}")
        if row:  # and not a blank line, which is how a one-column file ends in some tools
            lines.append(reader.line_num)
            rows.append(row)
    return lines, {
        column.name: [row[header.index(column.name)] for row in rows]
        if column.name in header
        else [""] * len(rows)
        for column in (*INPUTS, TARGET)
    }
