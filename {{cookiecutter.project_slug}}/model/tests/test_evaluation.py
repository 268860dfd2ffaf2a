"""The metrics are scikit-learn's."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from contract import TARGET
from model.answer import Answer
from model.evaluation import metrics_of

VALUE = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE), min_size=2))
def test_of_a_regression(rows: list[tuple[float, float]]) -> None:
    truth, predicted = zip(*rows, strict=True)
    ours = metrics_of(Answer(np.array(predicted)), list(truth), None)
    assert ours["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(*_t(rows)))
    assert ours["root_mean_squared_error"] == pytest.approx(
        metrics.root_mean_squared_error(*_t(rows))
    )
    if max(truth) - min(truth) > 1:
        assert ours["r2"] == pytest.approx(metrics.r2_score(*_t(rows)))
    assert all(map(math.isfinite, ours.values()))


def _t(rows: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [row[0] for row in rows], [row[1] for row in rows]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=2))
def test_of_a_classification(rows: list[tuple[int, float]]) -> None:
    classes = ["false", "true"] if TARGET.datatype == "BOOL" else ["a", "b"]
    values: list[Any] = [False, True] if TARGET.datatype == "BOOL" else classes
    truth = [values[row[0]] for row in rows]
    shares = [[1 - row[1], row[1]] for row in rows]
    predicted = [values[row[1] > 0.5] for row in rows]
    ours = metrics_of(Answer(np.array(predicted, dtype=object), np.array(shares)), truth, classes)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(truth, shares, labels=values))
    recalls = metrics.recall_score(truth, predicted, labels=sorted(set(truth)), average=None)
    assert ours["balanced_accuracy"] == pytest.approx(recalls.mean())
