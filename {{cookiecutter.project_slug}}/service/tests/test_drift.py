"""Drift is more than noise and matters; what is neither raises no alarm."""

from collections import Counter
from itertools import accumulate
from random import Random

import pytest

from service.report.drift import chi_squared, drift

TRAINED = 10_000
BINS = [[0.1] * 10, [1 / at for at in range(1, 60)], [0.97, 0.03], [0.5, 0.3, 0.1999, 0.0001]]
"""Deciles, a category of many values, a rare one and one that is hardly there."""

MISSING = [0.0, 0.3, 0.003, 0.05]


def sample(dice: Random, feature: int, rows: int) -> tuple[list[int], int]:
    """Rows in each bin of a feature, and those in which it is missing."""
    weights = BINS[feature % 4]
    missing = sum(dice.random() < MISSING[feature % 4] for _ in range(rows))
    ends = list(accumulate(weights))
    counts = Counter(dice.choices(range(len(weights)), cum_weights=ends, k=rows - missing))
    return [counts[at] for at in range(len(weights))], missing


@pytest.mark.slow
def test_a_thousand_days_without_drift_raise_hardly_an_alarm() -> None:
    dice = Random(0)
    alarms = 0
    for features, rows, days in ((4, 50, 300), (4, 500, 300), (4, 5000, 100), (40, 50, 300)):
        trained = [sample(dice, feature, TRAINED) for feature in range(features)]
        for _ in range(days):
            now = [sample(dice, feature, rows) for feature in range(features)]
            found = (
                drift(before, after, (gone, lacking), features).drifted
                for (before, gone), (after, lacking) in zip(trained, now, strict=True)
            )
            alarms += any(found)
    assert alarms <= 20


def test_a_fixed_threshold_would_alarm_every_other_day() -> None:
    dice = Random(1)
    trained, _ = sample(dice, 0, TRAINED)
    found = [drift(trained, sample(dice, 0, 50)[0], (0, 0), 1).psi for _ in range(100)]
    assert sum(psi > 0.1 for psi in found) > 50


@pytest.mark.parametrize("rows", [100, 5000])
def test_drift_is_found(rows: int) -> None:
    even = [TRAINED // 10] * 10
    half = rows // 2
    assert drift(even, [half] + [half // 9] * 9, (0, 0), 40).drifted
    assert drift([TRAINED, 0], [half, half], (0, 0), 40).drifted  # a value that training lacks
    assert drift([TRAINED, 0], [0, rows], (0, 0), 40).drifted  # and no other
    assert drift([TRAINED], [half], (0, half), 40).drifted  # half of them missing
    assert drift(even, [0] * 10, (0, rows), 40).drifted  # all of them missing


def test_what_is_sure_but_small_is_no_drift() -> None:
    found = drift([5000, 5000], [500_000, 540_000], (0, 0), 1)
    assert found.noise < found.psi < 0.1
    assert not found.drifted
    assert not drift([10_000], [99_000], (0, 1000), 1).drifted


def test_no_rows_are_no_drift() -> None:
    assert not drift([5, 5], [0, 0], (0, 0), 1).drifted
    assert not drift([], [], (0, 0), 1).drifted


def test_quantiles_of_chi_squared() -> None:
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4
    for share, degrees, value in ((0.99, 1, 6.635), (0.99, 9, 21.666), (0.999, 9, 27.877)):
        assert chi_squared(share, degrees) == pytest.approx(value, rel=0.02)
