"""Targets too far from all others to be true: a model that saw them would learn little else."""

import numpy as np

from contract import TARGET
from model.artifacts.manifest import Outliers
from model.training.history import History

LEAST = 100
"""Up to so many typical distances from the median no target is an outlier."""
STEPS = 4
"""How far a tail may go on beyond the ninth decile, in steps like that from the median to there."""
MOST = 0.01
"""Above this share of the rows they are no outliers, but another part of the history."""


def reject_outliers(history: History) -> tuple[History, Outliers | None]:
    """The rows to learn from and to judge on, and what was rejected, if anything was.

    Let m be the median, and q the ninth decile, of the distances of a regression's targets from
    their median, without those that are the median itself: many zeros make no outlier of the rest.
    A row is rejected if its target is further from the median than LEAST·m and than q·(q/m)^STEPS,
    where q/m counts as 10 at most. So a long tail, such as that of prices, is followed.
    """
    if TARGET.kind != "float" or not history.targets:
        return history, None
    targets = np.array(history.targets)
    median = np.median(targets)
    distances = np.abs(targets - median)
    typical, far = np.quantile(distances[distances > 0], [0.5, 0.9]) if distances.any() else (1, 1)
    reach = max(LEAST * typical, far * min(far / typical, 10.0) ** STEPS)
    kept = np.flatnonzero(distances <= reach)
    rejected = len(history) - len(kept)
    if not 0 < rejected <= max(1, MOST * len(history)):
        return history, None
    low, high = float(median - reach), float(median + reach)
    return history.part(kept), Outliers(rows=rejected, low=low, high=high)
