"""Whether a feature is distributed otherwise than in training, by more than noise.

Without any drift the population stability index (PSI) of n and of m rows in b bins is about
χ²(b - 1) · (1/n + 1/m), so that a fixed threshold alarms for nothing where n is small. Source:
B. Yurdakul and J. Naranjo, "Statistical properties of the population stability index", 2020.
"""

from collections.abc import Sequence
from math import log, sqrt
from statistics import NormalDist
from typing import NamedTuple

EFFECT, MISSING_EFFECT = 0.1, 0.02
"""The least PSI that matters, and the least change of the share of missing values."""

FALSE_ALARMS = 0.01
"""The share of reports in which chance alone may call any feature drifted."""

LEAST_EXPECTED = 5
"""Rows to be expected in a bin, or half of those that are there now; smaller bins are merged."""


class Drift(NamedTuple):
    """How far one feature has drifted: PSI, what that is by chance, share of missing values."""

    psi: float
    noise: float
    missing: float
    drifted: bool


def drift(
    training: Sequence[int], now: Sequence[int], missing: tuple[int, int], features: int
) -> Drift:
    """How far one feature has drifted.

    Args:
        training: rows in each bin; `now` has the same bins.
        missing: rows without a value, in training and now.
        features: how many are looked at, each of which could alarm by chance.
    """
    sure = 1 - FALSE_ALARMS / (2 * features)  # for each of two tests
    bins = _merged(training, now)
    m, n = sum(training), sum(now)
    psi = noise = 0.0
    if len(bins) > 1:
        # Half a row more in each bin, since an empty one has no logarithm.
        shares = [
            ((a + 0.5) / (m + len(bins) / 2), (b + 0.5) / (n + len(bins) / 2)) for a, b in bins
        ]
        psi = sum((new - old) * log(new / old) for old, new in shares)
        noise = chi_squared(sure, len(bins) - 1) * (1 / m + 1 / n)
    m, n = max(m + missing[0], 1), max(n + missing[1], 1)
    pooled = sum(missing) / (m + n)
    # The normal distribution says little of a handful of rows: hence a few more in any case.
    wander = NormalDist().inv_cdf((1 + sure) / 2) * sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    wander += LEAST_EXPECTED / n
    change = abs(missing[1] / n - missing[0] / m)
    drifted = psi > max(EFFECT, noise) or change > max(MISSING_EFFECT, wander)
    return Drift(psi, noise, missing[1] / n, drifted)


def _merged(training: Sequence[int], now: Sequence[int]) -> list[tuple[int, int]]:
    bins, a, b = [], 0, 0
    share = min(sum(training), sum(now)) / max(sum(training) + sum(now), 1)
    for before, after in zip(training, now, strict=True):
        a, b = a + before, b + after
        if max((a + b) * share, b / 2) >= LEAST_EXPECTED:
            bins.append((a, b))
            a, b = 0, 0
    if bins:
        bins[-1] = bins[-1][0] + a, bins[-1][1] + b
    return bins


def chi_squared(share: float, degrees: int) -> float:
    """What χ² stays below in this share of cases, within some per cent (Wilson, Hilferty 1931)."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + NormalDist().inv_cdf(share) * sqrt(part)) ** 3)
