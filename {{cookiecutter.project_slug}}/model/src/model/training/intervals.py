"""Differences of means, and how sure they are."""

import warnings

import numpy as np
import numpy.typing as npt
from scipy import stats

from model.artifacts.manifest import Interval

Floats = npt.NDArray[np.floating]


def difference(
    a: Floats, b: Floats, *, paired: bool = True, level: float = 0.95
) -> Interval | None:
    """The mean of `a` less that of `b`, with the interval that holds the true one at this level.

    Student's t; for two samples with Welch's degrees of freedom.

    Args:
        a: losses of one version [rows].
        b: losses of another; of the same rows if they are paired.
        paired: whether they are.
        level: of confidence.

    Returns:
        None for fewer than two rows of either.
    """
    if min(len(a), len(b)) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the values hardly differ
        test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
        low, high = test.confidence_interval(level)
    rows = len(a) if paired else len(a) + len(b)
    return Interval(mean=a.mean() - b.mean(), low=low, high=high, rows=rows)
