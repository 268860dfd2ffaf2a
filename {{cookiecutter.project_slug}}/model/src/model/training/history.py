"""The rows to learn from: CSV files, read into typed columns.

The header names the columns, in any order. The inputs and the target must be among them, but for
inputs that may be missing; any other column is ignored. An empty cell is a missing value. What
`service export` writes looks the same, with what was predicted for each row when it was served.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import FEATURES, INPUTS, TARGET, Column
from model.artifacts.manifest import Data
from model.columns import Array, Columns, add_derived, text_of, to_arrays, to_values
from model.errors import ModelError, explained
from model.pipeline import SPLIT
from model.tables.cells import check_columns, read_columns
from model.tables.reading import CsvTable
from model.training.provenance import describe_data

SERVED = Column(f"expected_{TARGET.name}", TARGET.kind, optional=True)
"""What was predicted, as `service export` calls it."""
DERIVED = [each for each in FEATURES if each not in INPUTS]
"""What is derived anew, and compared with what was served where the file has that."""


@dataclass(frozen=True)
class History:
    """Rows whose target is known.

    Attributes:
        columns: the features.
        targets: the target's float, bool or str per row.
        data: where the rows come from.
        warning: what is to be corrected about that, if anything.
        classes: of a classification, by name and in order; a part has those of the whole.
        split: how the rows to judge a model on are chosen, as `SPLIT` in `model.pipeline` has it.
        keys: the values of the column that is split by, if it is split by one.
        served: what was predicted for each row when it was served; None where nothing was.
        skew: of each derived feature in how many rows it was served otherwise than it is now.
    """

    columns: Columns
    targets: list[Any]
    data: Data
    warning: str | None = None
    classes: Sequence[str] = ()
    split: str = "order"
    keys: Sequence[Any] | Array = ()
    served: Sequence[Any] = ()
    skew: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if TARGET.kind != "float" and not self.classes:
            names = {text_of(target) for target in self.targets}
            both = {"false", "true"} if TARGET.kind == "bool" else set()
            object.__setattr__(self, "classes", sorted(names | both))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def empty(self) -> list[str]:
        """The features, categories aside, that have no value in any row."""
        numbers = (each for each in FEATURES if each.kind != "category")
        arrays = to_arrays(self.columns)
        return [each.name for each in numbers if np.isnan(arrays[each.name]).all()]

    def latest(self, number: int) -> "History":
        """The last rows, at most so many."""
        return self.part(np.arange(len(self))[-number:])

    def part(self, rows: npt.NDArray[np.intp]) -> "History":
        """Some of the rows, by their numbers and in that order."""

        def chosen(values: Any) -> Any:
            return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]

        columns = {name: chosen(values) for name, values in self.columns.items()}
        more = {name: chosen(it) for name in ("keys", "served") if len(it := getattr(self, name))}
        return replace(self, columns=columns, targets=chosen(self.targets), **more)


def read_histories(paths: Sequence[Path]) -> History:
    """The rows of several files, one after the other; raises ModelError as `read_history` does.

    Beside rows that really happened, those that are made up are left out.
    """
    found = [read_history(path) for path in paths]
    real = [each for each in found if not each.data.synthetic] or found
    told = [each.warning for each in real]
    if len(real) < len(found):
        told.append("synthetic rows are left out, since there are to be others")
    history = reduce(_join, [each for each in real if len(each)] or real)
    return replace(history, warning="; ".join(filter(None, told)) or None)


def _join(one: History, other: History) -> History:
    data = Data(
        source=f"{one.data.source} and {other.data.source}",
        sha256=hashlib.sha256(f"{one.data.sha256} {other.data.sha256}".encode()).hexdigest(),
        rows=one.data.rows + other.data.rows,
        synthetic=one.data.synthetic or other.data.synthetic,
        license=one.data.license,
        caveat=one.data.caveat,
        parts=[*(one.data.parts or [one.data]), other.data],
    )
    columns = {
        name: np.concatenate([values, to_arrays(other.columns)[name]])
        for name, values in to_arrays(one.columns).items()
    }
    keyed = len(one.keys) and len(other.keys)
    return History(
        columns,
        [*one.targets, *other.targets],
        data,
        split=one.split if keyed or ":" not in one.split else "order",
        keys=[*one.keys, *other.keys] if keyed else (),
        served=[*one.served, *other.served],
        skew=Counter(one.skew) + Counter(other.skew),
    )


def read_history(path: Path, split: str = SPLIT) -> History:
    """The rows of a CSV file; raises ModelError, naming a fault's line and column.

    Where the file lacks the column that the rows are to be split by, they are split as they stand.
    """
    known, by = (*INPUTS, TARGET, SERVED), split.partition(":")[2]
    parts: dict[str, list[Array]] = {column.name: [] for column in (*known, *DERIVED)}
    keys: Any = []
    with explained(path):
        table = CsvTable(path, [*parts, *([by] if by else [])])
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
            arrays |= read_columns(batch, DERIVED)[0]
            for name, values in arrays.items():
                parts[name].append(values)
            if by and by in table.schema.names:
                keys += batch.cells[by].to_pylist()
    arrays = {name: np.concatenate(part) if part else np.empty(0) for name, part in parts.items()}
    targets = [*to_values(arrays.pop(TARGET.name), TARGET)]
    served = to_values(arrays.pop(SERVED.name), SERVED)
    with explained(f"{path}: a derived feature", kinds=(Exception,)):
        columns = to_arrays(add_derived(arrays))
    data, warning = describe_data(path, digest, len(targets))
    keys = columns.get(by, keys)
    warnings = [warning] if warning else []
    if absent := [column.name for column in INPUTS if column.name not in table.schema.names]:
        warnings.append(f"{path} has no column {', '.join(absent)}")
    if not targets:
        warnings.append(f"{path} has no rows")
    elif by and not len(keys):
        warnings.append(f"{path} has no column {by} to split by; the rows are split as they stand")
        split = "order"
    skew = {}
    for column in (each for each in DERIVED if each.name in table.schema.names):
        rows = _differing(arrays[column.name], columns[column.name], column)
        if len(rows):
            skew[column.name] = len(rows)
            where = f"in {len(rows)} of {len(targets)} rows, first in row {rows[0] + 1}"
            warnings.append(f"{path}: {column.name} is not derived as it was served, {where}")
    told = "; ".join(warnings) or None
    return History(columns, targets, data, told, split=split, keys=keys, served=served, skew=skew)


def _differing(served: Array, derived: Array, column: Column) -> npt.NDArray[np.intp]:
    """The rows in which a feature was served as another value than is derived now.

    Where one that is never missing has an empty cell, there was no such feature yet.
    """
    missing = served == "" if column.kind == "category" else np.isnan(served)
    differs = (served != derived) & ~(missing & (derived != derived))
    return np.flatnonzero(differs & (column.optional | ~missing))
