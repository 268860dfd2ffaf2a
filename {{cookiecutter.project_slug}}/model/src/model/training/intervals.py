"""Differences of means, and how sure they are."""

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
    samples = [a - b] if paired else [a, b]
    means = [float(each.mean(dtype=np.float64)) for each in samples]
    errors = [float(each.var(ddof=1, dtype=np.float64)) / len(each) for each in samples]
    mean, error = means[0] - sum(means[1:]), sum(errors)
    parts = sum(e**2 / (len(each) - 1) for e, each in zip(errors, samples, strict=True))
    freedom = error**2 / parts if parts else 1.0
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * error**0.5
    rows = sum(map(len, samples))
    return Interval(mean=mean, low=mean - reach, high=mean + reach, rows=rows)
