"""What each Python process of the cluster does: rows in, predictions or rejected rows out.

It is a module of its own because workers import it: what it keeps outlives a single task.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pyarrow as pa
from pyspark import Broadcast

from contract import INPUTS
from model.artifacts.manifest import Manifest
from model.bulk.predicting import predict
from model.bulk.writing import ROW, Results
from model.engines.loading import Model
from model.tables.cells import read_columns
from model.tables.reading import Batch, Place

Files = dict[str, bytes]
"""The content of each file of a version, by its name."""
VERSION = "model_version"
Kind = Literal["predicted", "cells", "all"]
"""What is wanted: predictions; the rows that are rejected for their cells; all that are."""

_models: dict[str, Model] = {}


@dataclass(frozen=True)
class Scorer:
    """A function for `mapInArrow` on the rows of a table.

    Attributes:
        version: what predicts.
        files: the version's files.
        table: the columns of the rows.
        kind: what is wanted of them.
    """

    version: str
    files: Broadcast[Files]
    table: pa.Schema
    kind: Kind

    def output(self, manifest: Manifest) -> pa.Schema:
        """The columns of what is wanted, but for those that all rows have the same."""
        results = Results(self.table, manifest)
        schema = results.predicted if self.kind == "predicted" else results.rejected
        unknown = {ROW} - {*self.table.names}
        return pa.schema([each for each in schema if each.name not in {VERSION, *unknown}])

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows that are wanted."""
        model = load(self.version, self.files)
        results, columns = Results(self.table, model.manifest), self.output(model.manifest).names
        for rows in batches:
            batch = Batch(Place(), Place(), rows.cast(self.table), {}, [None] * len(rows))
            if self.kind == "cells":
                faults = read_columns(batch, INPUTS)[1]
            else:
                parts, faults = predict(model, batch)
            if self.kind == "predicted":
                yield from (results.predict(batch, *part).select(columns) for part in parts)
            elif faults:
                yield results.reject(batch, faults)


def load(version: str, files: Broadcast[Files]) -> Model:
    """The model, verified before it is loaded; once in this process."""
    if version not in _models:
        with TemporaryDirectory() as scratch:
            folder = Path(scratch, version)
            folder.mkdir(0o700)
            for name, content in files.value.items():
                (folder / name).touch(0o600)
                (folder / name).write_bytes(content)
            _models[version] = Model.load(folder)
    return _models[version]
