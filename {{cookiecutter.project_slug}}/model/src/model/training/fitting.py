"""A pipeline fitted to a history, and the best constant prediction beside it."""

from collections import Counter

import numpy as np
from sklearn.pipeline import Pipeline

from contract import TARGET
from model.columns import text_of, to_arrays
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine, to_frame
from model.training.history import History


def classes_of(history: History) -> list[str]:
    """The classes of a classification in order; none for a regression."""
    if TARGET.datatype == "FP64":
        return []
    return ["false", "true"] if TARGET.datatype == "BOOL" else sorted(set(history.targets))


def fit(pipeline: Pipeline, history: History, classes: list[str]) -> SklearnEngine:
    """The pipeline fitted to these rows, which may lack some of the classes to predict."""
    frame = to_frame(to_arrays(history.columns))
    # Gradient boosting cannot bin a column without any value. A constant says as little.
    empty = [name for name in frame if frame[name].isna().all()]
    pipeline.fit(frame.fillna(dict.fromkeys(empty, 0.0)), np.array(history.targets))
    return SklearnEngine(pipeline, classes)


def fallback_of(history: History, classes: list[str]) -> Predictions:
    """The best constant, one row: the median, or the majority class with each class's share."""
    if not classes:
        return Predictions(np.array([np.median(history.targets)]))
    counts = Counter(history.targets)
    shares = {text_of(value): count / len(history) for value, count in counts.items()}
    # The first of equally frequent classes, so that equal histories have equal fallbacks.
    value = max(sorted(counts), key=lambda each: counts[each])
    probabilities = np.array([[shares.get(name, 0.0) for name in classes]])
    return Predictions(np.array([value], dtype=object), classes, probabilities)
