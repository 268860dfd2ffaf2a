"""Each feature of the last weeks against training: the same bins of both."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf, nextafter
from typing import NamedTuple

from contract import FEATURES, Column
from service.report.drift import Drift, drift
from service.report.queries import WEEKS, Groups, Sums
from service.report.versions import Observed, Version

MOST_VALUES = 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Feature(NamedTuple):
    """One feature: its bins by name, with their shares in training and now; each week's drift."""

    name: str
    missing: float
    bins: list[tuple[str, float, float]]
    weeks: list[Drift]

    @property
    def now(self) -> Drift:
        """The last week's."""
        return self.weeks[-1]


def edges_of(version: Version) -> dict[str, list[float | str]]:
    """The bins of numbers and moments: between the quantiles of training.

    What was always the same has three: less, the same, more.
    """
    found = {}
    for column, observed in _observed(version):
        if observed.counts and observed.quantiles:
            low, *edges = sorted({*observed.quantiles})
            above = low + 1 if column.kind == "datetime" else nextafter(low, inf)
            found[column.name] = [_edge(column, each) for each in edges or [low, above]]
    return found


def compare(version: Version, groups: Groups) -> list[Feature]:
    """Each feature in training and since, grouped by `edges_of`; the most drifted first."""
    rows = version.data.get("rows", 0)
    known, edges = _observed(version) if rows else [], edges_of(version)
    found = []
    for column, observed in known:
        bins = _training(observed, edges.get(column.name, []), rows)
        names, keys, before = ([*each] for each in zip(*bins, strict=True))
        values, weeks = groups.get(column.name, {}), []
        for week in range(WEEKS):
            counted = (groups[""][""], *(values.get(key, {}) for key in ("", *keys)))
            every, present, *now = (each.get(week, Sums()).rows for each in counted)
            now[-1] = max(0, present - sum(now))
            missing = round(rows * observed.missing), every - present
            weeks.append(drift(before, now, missing, len(known)))
        shares = [[each / max(sum(side), 1) for each in side] for side in (before, now)]
        drawn = [each for each in zip(names, *shares, strict=True) if max(each[1:]) > 0.001]
        found.append(Feature(column.name, observed.missing, drawn, weeks))
    return sorted(found, key=lambda each: (not each.now.drifted, -each.now.psi))


def _training(
    observed: Observed, edges: list[float | str], rows: int
) -> list[tuple[str, str, int]]:
    """Name, value among the groups and rows in training of each bin; the last is of all others."""
    if observed.counts:
        ends = ["", *(each[:10] if isinstance(each, str) else f"{each:.4g}" for each in edges), ""]
        names = [f"{low} to {high}".strip() for low, high in pairwise(ends)]
        counts = observed.counts if len(observed.counts) > 1 else [0, *observed.counts, 0]
        bins = [(name, str(at), n) for at, (name, n) in enumerate(zip(names, counts, strict=True))]
    else:
        shares = sorted((observed.shares or {}).items(), key=lambda each: (-each[1], each[0]))
        bins = [(value, value, round(share * rows)) for value, share in shares[:MOST_VALUES]]
    others = round(rows * (1 - observed.missing)) - sum(each for *_, each in bins)
    return [*bins, ("others", "\0", max(0, others))]


def _observed(version: Version) -> list[tuple[Column, Observed]]:
    known = version.observed
    found = [(column, known[column.name]) for column in FEATURES if column.name in known]
    return [each for each in found if each[1].counts or each[1].shares]


def _edge(column: Column, value: float) -> float | str:
    moment = column.kind == "datetime" and EPOCH + timedelta(seconds=value)
    return moment.isoformat()[:19] if moment else value
