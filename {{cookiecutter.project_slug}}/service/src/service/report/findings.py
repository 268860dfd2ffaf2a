"""What the last weeks say: the page shows it, metrics and `make score` go by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from service.report import facts
from service.report.features import Feature, compare, edges_of
from service.report.queries import IS_REGRESSION, Day, Groups, Queries, Sums
from service.report.versions import Version, Versions, error_of


@dataclass(frozen=True)
class Findings:
    """What the database tells of the last weeks, beside what training knew.

    Attributes:
        as_of: the moment by which ages are told.
        days: of these weeks, oldest first; empty where there are no predictions.
        features: each against training, the most drifted first.
    """

    as_of: datetime
    versions: Versions
    days: Sequence[str]
    daily: Sequence[Day]
    groups: Groups
    features: Sequence[Feature]
    bins: Sequence[tuple[float, Sums]]
    confusion: dict[str, dict[str, int]]

    @property
    def current(self) -> Version:
        """The version that is current; an empty one where that is not known."""
        return self.versions.get(self.versions.current)

    @cached_property
    def traffic(self) -> list[list[int]]:
        """How many predictions each of `facts.SERVED` served, day by day."""
        return facts.traffic(self.daily, self.days)

    @property
    def served(self) -> list[int]:
        """The same of the last week."""
        return [*map(sum, zip([0, 0, 0], *self.traffic[-7:], strict=True))]

    @cached_property
    def week(self) -> int:
        """The last one in which enough errors of the current version are known, or the last."""
        known = [of.known >= facts.FEW for of in self._weekly]
        return max((at for at, enough in enumerate(known) if enough), default=-1)

    @cached_property
    def _weekly(self) -> list[Sums]:
        return facts.weekly(self.daily, self.days, self.versions.current)

    @property
    def error(self) -> Sums:
        """The errors of the current version in that week; none where too few are known."""
        found = self._weekly[self.week]
        return found if found.known >= facts.FEW else Sums()

    @property
    def trained(self) -> float | None:
        """The error of the current version at training."""
        return error_of(self.current.judged.metrics)

    @property
    def worse(self) -> str:
        """Whether the error is greater now: see `facts.worse`."""
        baseline = error_of(self.current.judged.baseline)
        return facts.worse(self.error.interval, self.trained, baseline)

    @property
    def errors(self) -> dict[str, float]:
        """Low, mean and high of the error now, and that at training; empty if either is unknown."""
        if not self.error.interval or self.trained is None:
            return {}
        names = ("low", "mean", "high", "training")
        return dict(zip(names, (*self.error.interval, self.trained), strict=True))

    @property
    def drifts(self) -> dict[str, bool]:
        """Whether each feature differs from training in the last week, by more than noise."""
        return {each.name: each.now.drifted for each in self.features}

    @property
    def drifted(self) -> list[str]:
        """The features that do."""
        return [name for name, drifted in self.drifts.items() if drifted]

    @cached_property
    def slices(self) -> list[facts.Slice]:
        """The slices of which enough is known in that week, those of most rows first."""
        return facts.slices(self.groups, self.current.judged.slices, self.week)

    @property
    def latency(self) -> list[float | None]:
        """The 50th, 95th and 99th percentile of the last week, in milliseconds."""
        return facts.latency(self.daily, self.days[-7:])

    def summary(self, deadline_ms: float) -> dict[str, Any]:
        """The same in a few numbers, as JSON has them."""
        return {
            "as_of": self.as_of.isoformat(),
            "version": self.versions.current,
            "served": dict(zip(facts.SERVED, self.served, strict=True)),
            "known": self.error.known,
            "errors": self.errors,
            "worse": self.worse,
            "drifts": self.drifts,
            "slices": {each.name: each.worse for each in self.slices},
            "p95_ms": self.latency[1],
            "deadline_ms": deadline_ms,
        }


def look(connection: sa.Connection, versions: Versions | None, as_of: datetime) -> Findings:
    """The findings, the same for the same data.

    Args:
        connection: in a transaction that sees one state of the database.
        versions: None where they are not known.
        as_of: the moment by which ages are told.
    """
    queries, versions = Queries(connection), versions or Versions()
    current = versions.get(versions.current)
    groups = queries.groups(edges_of(current), versions.current)
    return Findings(
        as_of=as_of,
        versions=versions,
        days=[f"{week + timedelta(day):%Y-%m-%d}" for week in queries.weeks for day in range(7)],
        daily=queries.daily(),
        groups=groups,
        features=compare(current, groups),
        bins=queries.calibration(),
        confusion={} if IS_REGRESSION else facts.confusion(queries.confusion()),
    )
