"""A batch of cells to the answers for its good rows, and what is wrong with each of the others."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract import FEATURES
from model.cells import read_column
from model.columns import Array
from model.engines.loading import Model as Engine
from model.engines.predictions import Predictions as Answer


class Predicted(NamedTuple):
    """What became of a batch.

    Attributes:
        good: positions of the rows that have an answer, in order.
        answer: theirs; None when there is no such row.
        faults: of each other row by its position, the column at fault and the reason.
    """

    good: npt.NDArray[np.intp]
    answer: Answer | None
    faults: dict[int, tuple[str, str]]


def predict(engine: Engine, cells: pa.RecordBatch) -> Predicted:
    """The answers for rows, the faulty ones set aside: the first fault of each."""
    columns: dict[str, Array] = {}
    faults: dict[int, tuple[str, str]] = {}
    for column in FEATURES:
        missing = column.name not in cells.schema.names  # which only an optional one may be
        texts = pa.nulls(cells.num_rows, pa.string()) if missing else cells[column.name]
        columns[column.name], wrong = read_column(texts, column)
        for position, reason in wrong.items():
            faults.setdefault(position, (column.name, reason))
    good = np.delete(np.arange(cells.num_rows), list(faults))
    if faults:
        columns = {name: values[good] for name, values in columns.items()}
    answers: list[Answer] = []
    failed: list[int] = []
    for start, answer in _answers(engine, columns, 0, len(good)):
        if isinstance(answer, Answer):
            answers.append(answer)
        else:
            fault = " ".join(str(answer).split())
            failed.append(start)
            faults[int(good[start])] = ("", f"the model fails on it: {fault:.200}")
    return Predicted(np.delete(good, failed), _joined(answers), faults)


def _answers(
    engine: Engine, columns: dict[str, Array], start: int, stop: int
) -> Iterator[tuple[int, Answer | Exception]]:
    """The answers for the rows in parts, with where each part starts; an error is of one row."""
    if start == stop:
        return
    try:
        part = {name: values[start:stop] for name, values in columns.items()}
        yield start, engine.predict(part)
    except MemoryError:
        raise
    except Exception as error:  # whatever the libraries below raise for what they cannot take
        if stop - start == 1:
            yield start, error
            return
        middle = (start + stop) // 2
        yield from _answers(engine, columns, start, middle)
        yield from _answers(engine, columns, middle, stop)


def _joined(answers: list[Answer]) -> Answer | None:
    if len(answers) < 2:
        return answers[0] if answers else None
    shares = [each.probabilities for each in answers if each.probabilities is not None]
    return Answer(
        np.concatenate([each.values for each in answers]),
        answers[0].classes,
        np.concatenate(shares) if shares else None,
    )
