"""A pipeline fitted to a history, and the best constant prediction beside it."""

from collections import Counter

import numpy as np
from sklearn.pipeline import Pipeline

from model.columns import text_of, to_arrays
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine, to_frame
from model.training.history import History


def fit(pipeline: Pipeline, history: History) -> SklearnEngine:
    """The pipeline fitted to these rows, which may lack some of the classes to predict."""
    frame = to_frame(to_arrays(history.columns))
    # Gradient boosting cannot bin a column without any value. A constant says as little.
    empty = [name for name in frame if frame[name].isna().all()]
    pipeline.fit(frame.fillna(dict.fromkeys(empty, 0.0)), np.array(history.targets))
    return SklearnEngine(pipeline, history.classes)


def fallback_of(history: History) -> Predictions:
    """The best constant, one row: the median, or the majority class with each class's share."""
    if not history.classes:
        return Predictions(np.array([np.median(history.targets)]))
    counts = Counter(history.targets)
    shares = {text_of(value): count / len(history) for value, count in counts.items()}
    # The first of equally frequent classes, so that equal histories have equal fallbacks.
    value = max(sorted(counts), key=lambda each: counts[each])
    probabilities = np.array([[shares.get(name, 0.0) for name in history.classes]])
    return Predictions(np.array([value], dtype=object), history.classes, probabilities)
