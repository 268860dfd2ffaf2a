"""What the page shows of the database: counts and sums, however many rows there are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from math import sqrt
from typing import Any, NamedTuple

import sqlalchemy as sa

from contract import FEATURES, TARGET
from service.tables import SHADOW, Prediction

WEEKS = 12
MOST_ROWS, MOST_VALUES, MOST_GROUPS = 200_000, 1_000_000, 10_000
"""How many predictions, and values of their features, are looked at, the latest: a page must not
take the database down. And how many groups are fetched, since callers may send any category."""

LATENCIES = [0.1 * 1.25**step for step in range(51)]
"""Edges of bins, in milliseconds: 0.1 to 7,000."""

NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"
IS_REGRESSION = TARGET.kind == "float"
BOOLEANS = {column.name for column in FEATURES if column.kind == "bool"}
C = Prediction.__table__.c


class Sums(NamedTuple):
    """The errors of some rows: how many, how many whose error is known, and its moments."""

    rows: int = 0
    known: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, parts: Iterable["Sums"]) -> "Sums":
        """Those of all rows together."""
        return cls(*map(sum, zip((0, 0, 0.0, 0.0), *parts, strict=True)))

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return sqrt(max(self.squares / self.known - (self.total / self.known) ** 2, 0.0))

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Low, mean and high of 95 %; of a share, Wilson's. None where fewer than two are known."""
        if self.known < 2:
            return None
        mean = self.total / self.known
        if IS_REGRESSION:
            half = 1.96 * self.deviation / sqrt(self.known - 1)
            return max(mean - half, 0.0), mean, mean + half
        z = 1.96**2 / self.known
        middle, half = (mean + z / 2) / (1 + z), sqrt(z * (mean * (1 - mean) + z / 4)) / (1 + z)
        return max(middle - half, 0.0), mean, middle + half


Groups = dict[str, dict[str, dict[int, Sums]]]
Day = tuple[str, str, str | None, int, Sums]


class Queries:
    """What was predicted in the last weeks, up to the latest prediction.

    The error of a number is its absolute error; that of a class is 1 where it was wrong.

    Args:
        connection: in a transaction that sees one state of the database.

    Attributes:
        weeks: when each begins, oldest first; empty where there are no predictions.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._execute = connection.execute
        postgresql = connection.dialect.name == "postgresql"
        self._json_each = sa.func.json_each_text if postgresql else sa.func.json_each
        self._number = NUMBER if postgresql else None
        latest = sa.select(C.id, C.created_at).order_by(C.id.desc()).limit(1)
        last, at = tuple(connection.execute(latest).first() or (0, datetime(2000, 1, 1)))
        midnight = datetime.combine(at, time(), UTC)
        starts = [midnight - timedelta(7 * week - 1) for week in range(WEEKS, 0, -1)]
        self.weeks, self._last = starts if last else [], int(last)
        wrong = sa.case((C.expected == C.outcome, 0.0), (C.expected != C.outcome, 1.0))
        self._rows = (
            sa.select(
                *C,
                (sa.func.abs(C.expected - C.outcome) if IS_REGRESSION else wrong).label("error"),
                sa.cast(sa.func.date(C.created_at), sa.String).label("day"),
                _bin(C.created_at, starts[1:]).label("week"),
            )
            .where(C.id > last - MOST_ROWS)
            .where(C.created_at >= starts[0], C.created_at < starts[-1] + timedelta(7))
            .subquery("latest")
        )

    def daily(self) -> list[Day]:
        """Day, who served, version and bin of `LATENCIES`, with the errors of these rows."""
        r = self._rows.c
        by = (r.day, r.served_by, r.model_version, _bin(r.latency_ms, LATENCIES).label("bin"))
        found = self._execute(sa.select(*by, *_sums(r.error)).group_by(*by).order_by(*by))
        return [(day, who, version, at, Sums(*sums)) for day, who, version, at, *sums in found]

    def groups(
        self, edges: Mapping[str, Sequence[float | str]], version: str | None = None
    ) -> Groups:
        """By feature, value and week: how often, and the errors of the model.

        The value `""` stands for any value, and the feature `""` for all rows.

        Args:
            edges: of bins, for the features that have some: numbers, or moments as ISO 8601. In
                the place of their values stand the numbers of bins.
            version: whose errors; of any by default.
        """
        r = self._rows.c
        whose = r.served_by != SHADOW, r.id > self._last - MOST_VALUES // len(FEATURES)
        each = self._json_each(r.features).table_valued("key", "value", name="each")
        text = sa.cast(each.c.value, sa.String)
        bins = [
            (each.c.key == name, sa.cast(_bin(self._comparable(text, by), by), sa.String))
            for name, by in edges.items()
        ]
        by = (each.c.key, (sa.case(*bins, else_=text) if bins else text).label("value"), r.week)
        own = r.served_by == "model"
        if version:
            own &= r.model_version == version
        present = sa.func.sum(sa.func.count()).over(partition_by=(each.c.key, r.week))
        rows = sa.select(r.week, sa.func.count()).where(*whose).group_by(r.week)
        found: Groups = {"": {"": {week: Sums(count) for week, count in self._execute(rows)}}}
        for name, value, week, count, *sums in self._execute(
            sa.select(*by, present, *_sums(sa.case((own, r.error))))
            .select_from(self._rows.join(each, sa.true()))
            .where(*whose, each.c.value.is_not(None))
            .group_by(*by)
            .order_by(sa.func.count().desc(), *by)
            .limit(MOST_GROUPS)
        ):
            if name in BOOLEANS:  # which are numbers in SQLite
                value = {"1": "true", "0": "false"}.get(value, value)
            values = found.setdefault(name, {"": {}})
            values[""][week] = Sums(int(count))
            values.setdefault(value, {})[week] = Sums(*sums)
        return found

    def _comparable(self, text: Any, edges: Sequence[float | str]) -> Any:
        if isinstance(edges[0], str):
            return sa.func.substr(text, 1, len(edges[0]))
        number = sa.cast(text, sa.Double)  # of an earlier contract it may be none
        return sa.case((text.regexp_match(self._number), number)) if self._number else number

    def calibration(self) -> list[tuple[float, Sums]]:
        """What was expected on average, bin by bin, and what came of it.

        Of a class: how sure the model was, and whether it was right.
        """
        r = self._rows.c
        value: Any = r.expected
        truth: Any = r.outcome
        if not IS_REGRESSION:
            each = self._json_each(r.probabilities).table_valued("key", "value", name="each")
            highest = sa.select(sa.func.max(sa.cast(each.c.value, sa.Double)))
            value, truth = highest.scalar_subquery(), 1 - r.error
        pairs = (
            sa.select(value.label("value"), truth.label("truth"))
            .where(r.served_by == "model", r.error.is_not(None))
            .subquery("pairs")
            .c
        )
        spread = self._execute(sa.select(*_sums(pairs.value))).one()
        if not spread[0]:
            return []
        of = Sums(*spread)
        middle, step = of.total / of.known, of.deviation / 4
        edges = [middle + step * at for at in range(-8, 9)]
        if not IS_REGRESSION:
            edges = [at / 10 for at in range(1, 10)]
        at = _bin(pairs.value, edges).label("bin")
        query = sa.select(at, sa.func.sum(pairs.value), *_sums(pairs.truth)).group_by(at)
        found = self._execute(query.order_by(at))
        return [(total / sums[0], Sums(*sums)) for _, total, *sums in found]

    def confusion(self) -> dict[tuple[Any, Any], int]:
        """How many rows of the model were expected to be one class and turned out another."""
        r = self._rows.c
        by = (r.expected, r.outcome)
        query = sa.select(*by, sa.func.count()).where(r.served_by == "model", r.error.is_not(None))
        return {(a, b): rows for a, b, rows in self._execute(query.group_by(*by))}


def _bin(value: Any, edges: Sequence[Any]) -> Any:
    """The number of the bin: how many of the sorted edges are not above the value."""
    return sa.case(*((value < edge, at) for at, edge in enumerate(edges)), else_=len(edges))


def _sums(error: Any) -> tuple[Any, ...]:
    of, zero = sa.func, sa.literal(0.0)
    totals = (of.coalesce(of.sum(each), zero) for each in (error, error * error))
    return of.count(), of.count(error), *totals
