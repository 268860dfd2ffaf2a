"""A batch of rows to the predictions for the good ones, and what is wrong with the others."""

from collections.abc import Iterator

import numpy as np

from contract import INPUTS
from model.columns import Array, add_derived
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.tables.cells import Faults, read_columns
from model.tables.reading import Batch, Numbers


def predict(model: Model, batch: Batch) -> tuple[list[tuple[Numbers, Predictions]], Faults]:
    """The predictions for the good rows, in parts with their positions; and the rejected rows."""
    columns, faults = read_columns(batch, INPUTS)
    good = np.delete(np.arange(batch.cells.num_rows), list(faults))
    return list(_predict(model, columns, good, faults)), faults


def _predict(
    model: Model, columns: dict[str, Array], rows: Numbers, faults: Faults
) -> Iterator[tuple[Numbers, Predictions]]:
    """The predictions for some rows; a row at which the model fails is found by halving."""
    if not len(rows):
        return
    try:
        part = {name: values[rows] for name, values in columns.items()}
        yield rows, model.predict(add_derived(part))
    except MemoryError:
        raise
    except Exception as error:  # whatever the libraries below raise for what they cannot take
        if len(rows) == 1:
            fault = " ".join(str(error).split())
            faults[int(rows[0])] = ("", f"the model fails on it: {fault:.200}")
            return
        for half in np.array_split(rows, 2):
            yield from _predict(model, columns, half, faults)
