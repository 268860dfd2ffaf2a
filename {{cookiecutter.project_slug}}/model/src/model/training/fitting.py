"""A pipeline fitted to a history, and the best constant prediction beside it."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

from model.columns import text_of, to_arrays
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine, to_frame
from model.errors import explained
from model.training.history import History

REMEDY = "correct `build_pipeline` in model/src/model/pipeline.py"


def fit(pipeline: Any, history: History) -> SklearnEngine:
    """The pipeline fitted to these rows, which may lack some of the classes to predict.

    Columns that a function chose are kept by their names, so that no pickle needs the function.

    Raises:
        ModelError: it cannot be fitted to them.
    """
    with explained("the pipeline cannot be fitted", REMEDY, kinds=(Exception,)):
        pipeline.fit(training_frame(history), np.array(history.targets))
    for part in pipeline.get_params().values():
        if isinstance(part, ColumnTransformer) and hasattr(part, "transformers_"):
            chosen = {name: columns for name, _, columns in part.transformers_}
            part.transformers = [(name, it, chosen[name]) for name, it, _ in part.transformers]
    return SklearnEngine(pipeline, history.classes)


def training_frame(history: History) -> pd.DataFrame:
    """The rows as a pipeline gets them.

    Gradient boosting cannot bin a column without any value; a constant says as little.
    """
    constants = {name: np.zeros(len(history)) for name in history.empty}
    return to_frame({**to_arrays(history.columns), **constants})


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
