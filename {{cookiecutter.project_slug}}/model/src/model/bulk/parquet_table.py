"""A Parquet file as a table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from contract import FEATURES, Column
from model.bulk.tables import BLOCK, ROWS, Batch, Place
from model.errors import ModelError


class ParquetTable:
    """A Parquet file; its batches end where its row groups do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pyarrow.parquet.ParquetFile(path) as file:
            self.size = file.metadata.num_rows
            self.schema = pa.schema(
                [pa.field(each.name, _plain_type(each.type)) for each in file.schema_arrow]
            )
            for column in FEATURES:
                position = file.schema_arrow.get_field_index(column.name)
                if position >= 0 and not _fits(file.schema_arrow.field(position).type, column):
                    kind = file.schema_arrow.field(position).type
                    raise ValueError(
                        f"column {column.name} is of type {kind}, which cannot be {column.datatype}"
                    )
        self.start = Place(0, 0, 0)

    def batches(self, place: Place) -> Iterator[Batch]:
        """The batches from this place on.

        Raises:
            ModelError: the file cannot be read.
        """
        done = 0
        try:
            with pyarrow.parquet.ParquetFile(self._path, buffer_size=BLOCK) as file:
                for group in range(file.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if done + size <= place.row:
                        done += size
                        continue
                    for cells in file.iter_batches(ROWS, [group], use_threads=False):
                        rows = done + np.arange(1, cells.num_rows + 1)
                        done += cells.num_rows
                        if done > place.row:
                            cells = cells.cast(self.schema)
                            yield Batch(cells, rows, None, [], Place(done, done, 0))
        except (OSError, pa.ArrowException) as error:
            raise ModelError(f"{self._path}: {' '.join(str(error).split())}") from None


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that stands for the same values without a dictionary, a view or large offsets."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    texts = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if texts or pa.types.is_null(kind) else kind


def _fits(kind: pa.DataType, column: Column) -> bool:
    """Whether what is of this type can be read as this column; nulls alone can be anything."""
    plain = _plain_type(kind)
    if pa.types.is_null(kind):
        return True
    if column.datatype == "BYTES":
        return bool(pa.types.is_string(plain))
    if column.datatype == "BOOL":
        return bool(pa.types.is_boolean(plain))
    return bool(pa.types.is_integer(plain) or pa.types.is_floating(plain))
