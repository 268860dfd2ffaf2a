"""Targets too far from all others to be true: a model that saw them would learn little else."""

import numpy as np

from contract import TARGET
from model.artifacts.manifest import Outliers
from model.training.history import History

REACH = 10_000
"""How far a target may be from the median, in typical distances (see `reject_outliers`)."""
MOST = 0.01
"""The share of the rows beyond which they are no outliers, but the other part of the history."""


def reject_outliers(history: History) -> tuple[History, Outliers | None]:
    """The rows to learn from and to judge on, and what was rejected, if anything was.

    Of a regression those rows are rejected whose target is more than `REACH` times as far from the
    median as is typical. Typical is the median absolute deviation (Hampel 1974) of the targets that
    are not the median itself, so that many equal ones, such as zeros, make nothing else an outlier.
    """
    if TARGET.kind != "float":
        return history, None
    targets = np.array(history.targets)
    median = np.median(targets)
    distances = np.abs(targets - median)
    reach = REACH * np.median(distances[distances > 0]) if distances.any() else 0.0
    kept = np.flatnonzero(distances <= reach)
    rejected = len(history) - len(kept)
    if not 0 < rejected <= max(1, MOST * len(history)):
        return history, None
    low, high = float(median - reach), float(median + reach)
    return history.part(kept), Outliers(rows=rejected, low=low, high=high)
