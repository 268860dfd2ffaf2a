"""How good a model is: its metrics, those of its baseline, and those of each slice."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from contract import FEATURES, TARGET, Column
from model.artifacts.manifest import Candidate, Evaluation, Interval, Linear, Observed, Slice
from model.columns import text_of, to_arrays, to_values
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine
from model.errors import ModelError, explained
from model.training.fitting import REMEDY, fallback_of, fit
from model.training.history import History
from model.training.intervals import difference
from model.training.linear import build_linear, is_linear
from model.training.losses import COLUMNS, Losses, losses_of, pack
from model.training.splitting import Rows

SHUFFLED_ROWS = 2_000
"""The latest rows, on which it is measured what each feature is worth."""
SLICES_PER_FEATURE = 20
SHARES_PER_FEATURE = 100


def judge(
    build: Callable[[], Any], past: History, later: History, candidates: list[Candidate]
) -> tuple[Evaluation, bytes] | None:
    """A model of the past, measured on the later rows; None where the past has a single class.

    Args:
        build: makes the pipeline, not fitted.
        candidates: what it was chosen from.

    Returns:
        The judgement, and the content of the file of losses.
    """
    if past.classes and len(set(past.targets)) < 2:
        return None
    engine = fit(build(), past)
    with explained("the pipeline cannot predict the later rows", REMEDY, kinds=(Exception,)):
        predictions = engine.predict(to_arrays(later.columns))
        found = metrics_of(predictions, later.targets)
    baseline = fallback_of(past).part(np.zeros(len(later), dtype=np.intp))
    losses = losses_of(predictions, later.targets)
    evaluation = Evaluation(
        split=past.split,
        candidates=candidates,
        past=len(past),
        later=len(later),
        metrics=found,
        baseline=metrics_of(baseline, later.targets),
        linear=None if is_linear(engine.pipeline) else _linear(past, later, losses),
        importance=_importance(engine, later, losses),
        slices=_slices(predictions, later),
        columns=COLUMNS,
    )
    return evaluation, pack(past, later, losses)


def _linear(past: History, later: History, losses: Losses) -> Linear | None:
    """A linear model judged on the same rows, and how much larger its losses are than these."""
    with suppress(ModelError, ValueError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not be a good one
        predictions = fit(build_linear(), past).predict(to_arrays(later.columns))
        gain = difference(losses_of(predictions, later.targets), losses)
        return Linear(metrics=metrics_of(predictions, later.targets), gain=gain)
    return None


def _importance(engine: SklearnEngine, later: History, losses: Losses) -> dict[str, Interval]:
    """By how much the loss grows where the values of a feature are shuffled among the rows.

    Source: L. Breiman, "Random forests", 2001.
    """
    rows = np.arange(len(later))[-SHUFFLED_ROWS:]
    part, order = later.part(rows), np.random.default_rng(0).permutation(len(rows))
    arrays, found = to_arrays(part.columns), {}
    with suppress(Exception):  # no row has these values together: a pipeline may refuse them
        for name in arrays:
            predictions = engine.predict({**arrays, name: arrays[name][order]})
            if gain := difference(losses_of(predictions, part.targets), losses[rows]):
                found[name] = gain
    return found


def metrics_of(predictions: Predictions, targets: list[Any]) -> dict[str, float]:
    """The metrics of a task by name, as scikit-learn defines them.

    For a regression the mean absolute and the root mean squared error, in the target's unit, and
    R², where the targets vary. For a classification the accuracy, the balanced accuracy (the mean
    of the recalls of the classes among the targets) and the logarithmic loss in nats.
    """
    if predictions.probabilities is None:
        errors = {
            "mean_absolute_error": metrics.mean_absolute_error(targets, predictions.values),
            "root_mean_squared_error": metrics.root_mean_squared_error(targets, predictions.values),
        }
        if len(set(targets)) > 1:
            errors["r2"] = metrics.r2_score(targets, predictions.values)
        return {name: float(value) for name, value in errors.items()}
    truth = [text_of(target) for target in targets]
    chosen = [text_of(value) for value in predictions.values.tolist()]
    with warnings.catch_warnings():
        # A class that only the past or only the later rows hold is no fault.
        warnings.simplefilter("ignore")
        labels = sorted(predictions.classes)
        return {
            "accuracy": float(metrics.accuracy_score(truth, chosen)),
            "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, chosen)),
            "log_loss": float(metrics.log_loss(truth, predictions.probabilities, labels=labels)),
        }


def _slices(predictions: Predictions, rows: History) -> list[Slice]:
    slices: list[Slice] = []
    for name, value, chosen in slices_of(rows, SLICES_PER_FEATURE):
        found = metrics_of(predictions.part(chosen), [rows.targets[row] for row in chosen])
        slices.append(Slice(feature=name, value=value, rows=len(chosen), metrics=found))
    return slices


def slices_of(rows: History, most: int | None = None) -> Iterator[tuple[str, Any, Rows]]:
    """Features that are booleans or categories, with each value and the rows that have it.

    Args:
        rows: of which.
        most: of a feature, how many values at most, those that are most frequent.
    """
    for column in (each for each in FEATURES if each.kind in ("bool", "category")):
        values = np.array(to_values(rows.columns[column.name], column), object)
        codes, known = pd.factorize(values, use_na_sentinel=False)
        for code, _ in Counter(codes.tolist()).most_common(most):
            value = None if known[code] != known[code] else known[code]
            yield column.name, value, np.flatnonzero(codes == code)


def observe(history: History) -> dict[str, Observed]:
    """The distribution of each feature and of the target."""
    columns = {**to_arrays(history.columns), TARGET.name: history.targets}
    return {each.name: _observe(columns[each.name], each) for each in (*FEATURES, TARGET)}


def _observe(values: Any, column: Column) -> Observed:
    if column.kind in ("float", "int", "datetime"):
        numbers = np.asarray(values, dtype=np.float64)
        present = numbers[~np.isnan(numbers)]
        missing = 1 - len(present) / len(values)
        if not len(present):
            return Observed(missing=missing)
        quantiles = np.quantile(present, np.linspace(0, 1, 11))
        rows, _ = np.histogram(present, [*np.unique(quantiles), np.inf])
        return Observed(missing=missing, quantiles=quantiles.tolist(), counts=rows.tolist())
    counts = Counter(map(text_of, to_values(values, column)))
    missing = counts.pop("", 0)
    frequent = counts.most_common(SHARES_PER_FEATURE)
    shares = {name: count / len(values) for name, count in frequent} or None
    return Observed(missing=missing / len(values), shares=shares)
