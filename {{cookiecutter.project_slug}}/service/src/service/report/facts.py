"""What the page tells, made of the sums that the database gives."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

from contract import FEATURES
from service.report.charts import Point, flat
from service.report.queries import IS_REGRESSION, LATENCIES, WEEKS, Day, Groups, Sums
from service.report.versions import error_of

SERVED = ("model", "fallback", "none")
FEW = 30
"""Fewer known errors than this tell nothing of a week, or of a slice."""

SLICED = [column.name for column in FEATURES if column.kind in ("bool", "category")]


class Errors(NamedTuple):
    """The errors of one version as it was served, day by day."""

    version: str
    served_by: str
    days: list[Sums]

    @property
    def name(self) -> str:
        """The version, and how it was served unless as the model."""
        return self.version + f" ({self.served_by})" * (self.served_by != "model")

    @property
    def points(self) -> list[Point]:
        """The interval of each day, or of each week where days have too few known errors."""
        step = 1 if self.all.known >= FEW * sum(sums.known > 0 for sums in self.days) else 7
        days = range(0, len(self.days), step)
        return [Sums.of(self.days[day : day + step]).interval for day in days]

    @property
    def all(self) -> Sums:
        """The errors of all days."""
        return Sums.of(self.days)


class Slice(NamedTuple):
    """The errors where a feature has one value: now, week by week, and at training."""

    name: str
    now: Sums
    weeks: list[Point]
    trained: float | None

    @property
    def worse(self) -> str:
        """See `worse`."""
        return worse(self.now.interval, self.trained)


def traffic(daily: Iterable[Day], days: Sequence[str]) -> list[list[int]]:
    """How many each of `SERVED` served, day by day."""
    counts = Counter[tuple[str, str]]()
    for day, who, _, _, sums in daily:
        counts[day, who] += sums.rows
    return [[counts[day, who] for who in SERVED] for day in days]


def errors(daily: Iterable[Day], days: Sequence[str]) -> list[Errors]:
    """The errors of each version, the latest first, each before its fallback."""
    found: dict[tuple[str, str], dict[str, list[Sums]]] = {}
    for day, who, version, _, sums in daily:
        found.setdefault((version or "none", who), defaultdict(list))[day].append(sums)
    order = sorted(found, key=lambda of: (max(found[of]), of[1] == "model", of), reverse=True)
    return [Errors(*of, [Sums.of(found[of].get(day, ())) for day in days]) for of in order]


def weekly(daily: Iterable[Day], days: Sequence[str], version: str | None) -> list[Sums]:
    """The errors of the model, week by week: of this version, or of any if that is not known."""
    weeks: list[list[Sums]] = [[] for _ in range(WEEKS)]
    for day, who, by, _, sums in daily:
        weeks[days.index(day) // 7] += [sums] * (who == "model" and version in (None, by))
    return [*map(Sums.of, weeks)]


def slices(groups: Groups, judged: Iterable[Mapping[str, Any]], week: int) -> list[Slice]:
    """The slices of which enough is known in this week, those of most rows first."""
    trained = {(s["feature"], text_of(s["value"])): error_of(s["metrics"]) for s in judged}
    found = [
        Slice(f"{name} {value}", weeks[week], points, trained.get((name, value)))
        for name in SLICED
        for value, known in groups.get(name, {}).items()
        for weeks in [[known.get(week, Sums()) for week in range(WEEKS)]]
        for points in [[of.interval for of in weeks]]
    ]
    enough = [each for each in found if each.now.known >= FEW]
    return sorted(enough, key=lambda each: (-each.now.known, each.name))


def calibration(bins: Iterable[tuple[float, Sums]]) -> list[tuple[float, float, float, float]]:
    """What was expected, with the mean of what came and its standard deviation on both sides.

    Of classes: how sure the model was, and how often it was right, with its interval.
    """
    points = [(value, of, point) for value, of in bins if (point := of.interval)]
    if not IS_REGRESSION:
        return [(value, *point) for value, _, point in points]
    return [(x, y - of.deviation, y, y + of.deviation) for x, of, (_, y, _) in points]


def averages(bins: Sequence[tuple[float, Sums]]) -> tuple[float, float]:
    """What was expected, and what came, on average."""
    of = Sums.of(of for _, of in bins)
    return sum(value * each.known for value, each in bins) / of.known, of.total / of.known


def confusion(found: dict[tuple[Any, Any], int]) -> dict[str, dict[str, int]]:
    """By what came, the most frequent first, how often each class was expected."""
    pairs = {(text_of(b), text_of(a)): rows for (a, b), rows in found.items()}
    actual = Counter({each: 0 for pair in pairs for each in pair})
    for (came, _), rows in pairs.items():
        actual[came] += rows
    order = sorted(actual, key=lambda each: (-actual[each], each))
    return {came: {each: pairs.get((came, each), 0) for each in order} for came in order}


def latency(daily: Iterable[Day], days: Iterable[str]) -> list[float | None]:
    """The 50th, 95th and 99th percentile of these days, in milliseconds."""
    counts, chosen = Counter[int](), set(days)
    for day, who, _, at, sums in daily:
        counts[at] += sums.rows * (day in chosen and who in SERVED)
    return [_percentile(counts, share) for share in (0.5, 0.95, 0.99)]


def latency_by_day(daily: Sequence[Day], days: Iterable[str]) -> list[list[Point]]:
    """The 99th, 95th and 50th percentile, day by day, each as its power of ten above 0.1 ms."""
    found = zip(*(latency(daily, [day])[::-1] for day in days), strict=True)
    return [flat(ms and log10(10 * ms) for ms in each) for each in found]


def _percentile(counts: Counter[int], share: float) -> float | None:
    wanted = share * counts.total()
    for at in sorted(counts):
        if 0 < wanted <= counts[at]:
            low, high = LATENCIES[max(at - 1, 0)], LATENCIES[min(at, len(LATENCIES) - 1)]
            return low + (high - low) * wanted / counts[at]
        wanted -= counts[at]
    return None


def verdict(value: float, look: float, act: float) -> str:
    """`ok` below the first limit, `act` from the second on, `look` between them."""
    return "ok" if value < look else "look" if value < act else "act"


def worse(point: Point, trained: float | None, baseline: float | None = None) -> str:
    """Whether an error is surely greater than at training; half as much again is to act upon."""
    if not point or trained is None:
        return ""
    return verdict(
        point[0], 1.1 * trained, max(1.1 * trained, min(1.5 * trained, baseline or 9e99))
    )


def text_of(value: object) -> str:
    """A class, or the value of a feature, as JSON has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def number(value: object) -> str:
    """An error, a value of the target or a probability; nothing where there is none."""
    if not isinstance(value, int | float):
        return "unknown"
    if not IS_REGRESSION:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def words(value: object) -> str:
    """Whatever a manifest or the log holds."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name in value if (text := words(value[name])))
    if isinstance(value, list):
        return "; ".join(map(words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
