"""How good a model is: its metrics, those of its baseline, and those of each slice.

Plain numpy: a class that the later rows do not hold, or that the past ones did not, is no fault.
"""

from collections import Counter
from typing import Any

import numpy as np

from contract import FEATURES, TARGET
from model.answer import Answer, class_name
from model.artifact import Evaluation, Observed, Slice
from model.history import History
from model.reference import Reference

SLICES_PER_FEATURE = 20


def classes_of(history: History) -> list[str] | None:
    """The classes of a classification in order; None for a regression."""
    if TARGET.datatype == "FP64":
        return None
    return ["false", "true"] if TARGET.datatype == "BOOL" else sorted(set(history.targets))


def fallback_of(history: History, classes: list[str] | None) -> Answer:
    """The best single answer: the median, or the majority class with each class's share."""
    if classes is None:
        return Answer(np.array([np.median(history.targets)]))
    counts = Counter(history.targets)
    named = {class_name(value): count / len(history) for value, count in counts.items()}
    # The first of equally frequent classes, so that equal histories have equal fallbacks.
    value = max(sorted(counts), key=lambda each: counts[each])
    shares = np.array([[named.get(name, 0.0) for name in classes]])
    return Answer(np.array([value], dtype=object), shares)


def judge(past: History, later: History, classes: list[str] | None) -> Evaluation | None:
    """A model fitted to the past rows, measured on the later ones.

    None where the past rows hold a single class, which nothing can be fitted to.
    """
    if classes is not None and len(set(past.targets)) < 2:
        return None
    answer = Reference.fit(past.columns, past.targets, classes).predict(later.columns)
    baseline = fallback_of(past, classes).part(np.zeros(len(later), dtype=np.intp))
    return Evaluation(
        past=len(past),
        later=len(later),
        metrics=metrics_of(answer, later.targets, classes),
        baseline=metrics_of(baseline, later.targets, classes),
        slices=_slices(answer, later, classes),
    )


def metrics_of(answer: Answer, targets: list[Any], classes: list[str] | None) -> dict[str, float]:
    """The metrics of a task by name.

    For a regression the mean absolute and the root mean squared error, in the target's unit, and
    R², where the targets vary. For a classification the accuracy, the mean of the classes' recalls
    (`balanced_accuracy`) and the mean logarithmic loss in nats, as scikit-learn defines them.
    """
    if classes is None or answer.probabilities is None:
        truth = np.array(targets, dtype=np.float64)
        error = answer.values - truth
        metrics = {
            "mean_absolute_error": float(np.abs(error).mean()),
            "root_mean_squared_error": float(np.sqrt((error**2).mean())),
        }
        spread = ((truth - truth.mean()) ** 2).mean()
        return metrics | ({"r2": float(1 - (error**2).mean() / spread)} if spread > 0 else {})
    right = answer.values == np.array(targets, dtype=object)
    position = {name: index for index, name in enumerate(classes)}
    true = np.array([position[class_name(target)] for target in targets])
    share = answer.probabilities[np.arange(len(true)), true]
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[true == each].mean() for each in set(true)])),
        "log_loss": float(-np.log(share.clip(np.finfo(np.float64).eps, 1)).mean()),
    }


def _slices(answer: Answer, rows: History, classes: list[str] | None) -> list[Slice]:
    slices: list[Slice] = []
    for column in FEATURES:
        if column.datatype not in ("BOOL", "BYTES"):
            continue
        values = rows.columns[column.name]
        for value, count in Counter(values).most_common(SLICES_PER_FEATURE):
            chosen = [row for row, each in enumerate(values) if each == value]
            targets = [rows.targets[row] for row in chosen]
            metrics = metrics_of(answer.part(np.array(chosen)), targets, classes)
            slices.append(Slice(feature=column.name, value=value, rows=count, metrics=metrics))
    return slices


def observe(history: History) -> dict[str, Observed]:
    """What each feature and the target looked like."""
    columns = {**history.columns, TARGET.name: history.targets}
    return {each.name: _observe(columns[each.name], each.datatype) for each in (*FEATURES, TARGET)}


def _observe(values: list[Any], datatype: str) -> Observed:
    present = [value for value in values if value is not None]
    missing = 1 - len(present) / len(values)
    if not present:
        return Observed(missing=missing)
    if datatype in ("FP64", "INT64"):
        quantiles = np.quantile(np.array(present, dtype=np.float64), np.linspace(0, 1, 11))
        return Observed(missing=missing, quantiles=quantiles.tolist())
    counts = Counter(str(value).lower() if datatype == "BOOL" else value for value in present)
    shares = {name: count / len(values) for name, count in counts.most_common(100)}
    return Observed(missing=missing, shares=shares)
