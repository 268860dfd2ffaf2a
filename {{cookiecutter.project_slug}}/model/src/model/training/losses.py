"""How wrong a version was on each row that it had not learnt from.

Kept beside it, so that a later version can be compared with it on rows that neither has seen: on
those that it has learnt from, a version always looks better than it is.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contract import INPUTS
from model.artifacts.verification import VerifiedArtifact
from model.columns import Array, text_of, to_arrays
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.engines.sklearn import to_frame
from model.errors import explained
from model.training.history import History
from model.training.splitting import Rows

LOSSES_FILE = "losses.npy"
RECORD = np.dtype([("row", "<u8"), ("loss", "<f4")])
"""A row by a digest of its inputs and target; NaN where the judged model has learnt from it."""
COLUMNS = [column.name for column in INPUTS]

Losses = npt.NDArray[np.floating]


def predictions_of(artifact: VerifiedArtifact, history: History) -> Predictions:
    """What a version predicts of these rows; raises ModelError if it cannot."""
    model = Model.of(artifact)
    where = f"version {artifact.manifest.version} cannot predict the rows"
    with explained(where, kinds=(Exception,)):
        return model.predict(history.columns)


def losses_of(predictions: Predictions, targets: Sequence[Any]) -> Losses:
    """The loss of each row, whose mean is the METRIC.

    It is the absolute error, or minus the logarithm of the probability of the true class.
    """
    if predictions.probabilities is None:
        return errors_of(predictions.values, targets)
    place = {name: at for at, name in enumerate(predictions.classes)}
    truth = [place.get(text_of(target), -1) for target in targets]
    given = predictions.probabilities[np.arange(len(truth)), truth]
    given = np.where(np.array(truth) < 0, 0.0, given)  # a class that the version does not know
    return -np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))


def errors_of(values: Array, truth: Sequence[Any]) -> Losses:
    """How far values are from others: the absolute difference, or 1 where they are not the same."""
    others = np.array(truth, values.dtype)
    is_number = values.dtype.kind == "f"
    errors: Losses = np.abs(values - others) if is_number else (values != others).astype(float)
    return errors


def pack(past: History, later: History, losses: Losses) -> bytes:
    """The content of the file: the rows that the judged model has learnt from, then the others."""
    table = np.empty(len(past) + len(later), RECORD)
    table["row"] = np.concatenate([_digests(past, COLUMNS), _digests(later, COLUMNS)])
    table["loss"] = np.concatenate([np.full(len(past), np.nan), losses])
    buffer = io.BytesIO()
    np.save(buffer, table[np.lexsort((~np.isnan(table["loss"]), table["row"]))], False)
    return buffer.getvalue()


def unseen_losses(artifact: VerifiedArtifact, history: History) -> Losses:
    """The loss of a version on each of these rows; NaN where it has learnt from the row.

    Of a row that it was judged on it is that of the judgement; any other is predicted now.

    Raises:
        ModelError: it cannot predict them.
    """
    losses, new = _looked_up(artifact, history)
    if len(new):
        part = history.part(new)
        losses[new] = losses_of(predictions_of(artifact, part), part.targets)
    return losses


def new_rows(artifact: VerifiedArtifact, history: History) -> Rows:
    """The rows that came after the training of a version: not even those that it was judged on."""
    return _looked_up(artifact, history)[1]


def _looked_up(artifact: VerifiedArtifact, history: History) -> tuple[Losses, Rows]:
    """The losses that are known, and the rows that are not in the file."""
    evaluation = artifact.manifest.evaluation
    if not evaluation or not {*evaluation.columns} <= history.columns.keys():
        return np.full(len(history), np.nan), np.array([], np.intp)
    table = np.load(artifact.path / LOSSES_FILE, allow_pickle=False)
    rows = _digests(history, evaluation.columns)
    # Of equal rows the first is one that was learnt from, if there is any.
    place = np.minimum(np.searchsorted(table["row"], rows), len(table) - 1)
    losses: Losses = table["loss"][place].astype(np.float64)
    return losses, np.flatnonzero(table["row"][place] != rows)


def _digests(history: History, columns: Sequence[str]) -> npt.NDArray[np.uint64]:
    arrays = to_arrays(history.columns)
    frame = to_frame({name: arrays[name] for name in columns})
    frame["target"] = [text_of(target) for target in history.targets]
    digests: npt.NDArray[np.uint64] = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return digests
