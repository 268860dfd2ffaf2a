"""The best of the pipelines that `build_pipeline` offers, by cross-validation on the past rows."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from model.artifacts.manifest import METRIC, Candidate
from model.engines.sklearn import SklearnEngine
from model.errors import explained
from model.training.evaluation import metrics_of
from model.training.fitting import REMEDY, training_frame
from model.training.history import History
from model.training.splitting import folds_of

ROWS = 20_000
"""Rows that a search looks at, at most: the past rows evenly thinned out."""

Build = Callable[[], Any]
"""Makes an estimator that is not fitted."""


def choose(build: Build, past: History) -> tuple[Build, list[Candidate]]:
    """What makes the pipeline to fit, and what was found of each candidate, best first.

    A search is anything like `GridSearchCV`. Where it leaves `cv` or `scoring` open, its folds
    follow the split of the history, and the score is the metric of the task. Where too few rows
    leave no folds, the estimator that it starts from is taken.
    """
    with explained("build_pipeline", REMEDY, kinds=(Exception,)):
        search = build()
    if not hasattr(search, "refit"):
        return build, []
    sample = past.part(np.linspace(0, len(past) - 1, min(len(past), ROWS)).astype(np.intp))
    if search.cv is None:
        search.cv = folds_of(sample)
        if not search.cv:
            return lambda: clone(search.estimator), []
    if search.scoring is None:
        search.scoring = _score(past)
    if search.error_score is np.nan:
        search.error_score = "raise"
    frame, targets = training_frame(sample), np.array(sample.targets)
    where = "the search among the candidates fails"
    with explained(where, REMEDY, kinds=(Exception,)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the one that is chosen warns when it is fitted
        search.fit(frame, targets)
        found, best = search.cv_results_, search.best_estimator_
    candidates = [
        Candidate(name=_name(found["params"][number]), score=found["mean_test_score"][number])
        for number in np.argsort(found["rank_test_score"], kind="stable")
    ]
    return lambda: clone(best), candidates


def _score(history: History) -> Callable[[Any, pd.DataFrame, Any], float]:
    """Scores a fitted pipeline by the metric of the task, negated: the greater, the better."""

    def score(pipeline: Any, frame: pd.DataFrame, targets: Any) -> float:
        arrays = {name: frame[name].to_numpy() for name in frame}
        predictions = SklearnEngine(pipeline, history.classes).predict(arrays)
        return -metrics_of(predictions, targets.tolist())[METRIC]

    return score


def _name(parameters: dict[str, Any]) -> str:
    """Parameters on one line; of a pipeline its last step."""
    lasts = {name: getattr(it, "steps", [("", it)])[-1][1] for name, it in parameters.items()}
    name = ", ".join(f"{name}={' '.join(repr(last).split())}" for name, last in lasts.items())
    return re.sub(" at 0x[0-9a-f]+", "", name)  # of a function, another one in every process
