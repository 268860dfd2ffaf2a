"""The rows to learn from: a CSV file, read into typed columns, oldest first.

The header names the columns, in any order. The inputs and the target must be among them, but for
inputs that may be missing; any other column is ignored. An empty cell is a missing value. What
`service export` writes looks the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from contract import INPUTS, TARGET
from model.artifacts.manifest import Data
from model.columns import Columns, add_derived, text_of, to_values
from model.errors import ModelError, explained
from model.tables.cells import check_columns, read_columns
from model.tables.reading import CsvTable
from model.training.provenance import describe_data


@dataclass(frozen=True)
class History:
    """Rows whose target is known.

    Attributes:
        columns: each feature's float, int, bool or str per row; None where it is missing.
        targets: the target's float, bool or str per row.
        data: where the rows come from.
        warning: what is to be corrected about that, if anything.
        classes: of a classification, by name and in order; a part has those of the whole.
    """

    columns: Columns
    targets: list[Any]
    data: Data
    warning: str | None = None
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if TARGET.kind != "float" and not self.classes:
            names = {text_of(target) for target in self.targets}
            both = {"false", "true"} if TARGET.kind == "bool" else set()
            object.__setattr__(self, "classes", sorted(names | both))

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, start: int, stop: int) -> "History":
        """The rows from `start` up to but without `stop`."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return History(columns, self.targets[start:stop], self.data, classes=self.classes)


def read_history(path: Path) -> History:
    """The rows of a CSV file, oldest first; raises ModelError, naming a fault's line and column."""
    known = (*INPUTS, TARGET)
    values: dict[str, list[Any]] = {column.name: [] for column in known}
    with explained(path):
        table = CsvTable(path, list(values))
        check_columns(table.schema, known)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        for batch in table.batches(table.start):
            arrays, faults = read_columns(batch, known)
            if faults:
                first = min(faults)
                line = next(islice(batch.lines, first, None))
                where = ", ".join(filter(None, (str(path), f"line {line}", faults[first][0])))
                raise ModelError(f"{where}: {faults[first][1]}")
            for column in known:
                values[column.name] += to_values(arrays[column.name], column)
    targets = values.pop(TARGET.name)
    try:
        columns = add_derived(values)
    except Exception as error:  # whatever the team's own function raises
        fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ModelError(f"{path}: a derived feature: {fault}") from error
    data, warning = describe_data(path, digest, len(targets))
    absent = [column.name for column in INPUTS if column.name not in table.schema.names]
    if absent:
        warning = "; ".join(filter(None, (warning, f"{path} has no column {', '.join(absent)}")))
    return History(columns, targets, data, warning)
