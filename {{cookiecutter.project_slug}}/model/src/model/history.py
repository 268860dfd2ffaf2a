"""The rows to learn from: a CSV file, read into typed columns, oldest first.

The header names the columns; the features and the target must be among them, in any order, and any
other column is ignored. An empty cell is a missing value. What the service exports from its own
database looks the same.
"""

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import FEATURES, TARGET
from model.artifact import Data
from model.cells import read_cell
from model.errors import ModelError


@dataclass(frozen=True)
class History:
    """Rows whose target is known.

    Attributes:
        columns: each feature's float, int, bool or str per row; None where it is missing.
        targets: the target's float, bool or str per row.
        data: where the rows come from.
        warning: what is to be put right about that, if anything.
    """

    columns: dict[str, list[Any]]
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
        lines, cells = _cells(content.decode("utf-8-sig"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, csv.Error) as error:
        raise ModelError(f"{path}: {error}") from None
    typed: dict[str, list[Any]] = {}
    for column in (*FEATURES, TARGET):
        values = typed[column.name] = []
        for line, cell in zip(lines, cells[column.name], strict=True):
            try:
                values.append(read_cell(cell, column))
            except ValueError as error:
                raise ModelError(f"{path}, line {line}, {column.name}: {error}") from None
    targets = typed.pop(TARGET.name)
    data, warning = _data(path, hashlib.sha256(content).hexdigest(), len(targets))
    return History(typed, targets, data, warning)


def _cells(text: str) -> tuple[list[int], dict[str, list[str]]]:
    """The number of each row's line, and the wanted columns' cells as they stand."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    positions: dict[str, int] = {}
    for column in (*FEATURES, TARGET):
        if header.count(column.name) != 1:
            times = "twice" if column.name in header else "missing"
            raise ValueError(f"column {column.name} is {times}; the header is {header!r:.200}")
        positions[column.name] = header.index(column.name)
    lines: list[int] = []
    cells: dict[str, list[str]] = {name: [] for name in positions}
    for row in reader:
        if len(row) != len(header):
            if not row:  # a blank line, which is how a one-column file ends in some tools
                continue
            raise ValueError(f"line {reader.line_num} has {len(row)} cells, not {len(header)}")
        lines.append(reader.line_num)
        for name, position in positions.items():
            cells[name].append(row[position])
    return lines, cells


def _data(path: Path, sha256: str, rows: int) -> tuple[Data, str | None]:
    """What `provenance.json` beside the file says, and a warning if it is about other content.

    The label stays on a file that was changed since: made-up rows stay so after an edit.
    """
    beside = path.with_name("provenance.json")
    if not beside.exists():
        return Data(source=path.name, sha256=sha256, rows=rows, synthetic=False), None
    try:
        said = json.loads(beside.read_text("utf-8"))
        data = Data.model_validate(said | {"sha256": sha256, "rows": rows})
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{beside}: is not a provenance: {error}") from None
    if said.get("sha256") == sha256:
        return data, None
    source = f"{path.name}, changed since: {data.source}"
    return (
        data.model_copy(update={"source": source, "license": None}),
        f"{beside} does not describe this {path.name} (its sha256 is another);"
        f" rewrite it, with the sha256 {sha256}",
    )
