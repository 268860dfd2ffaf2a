"""What the calendar says of a moment, as numbers that an estimator can learn from."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from contract.timezone import TIMEZONE

Floats = npt.NDArray[np.float64]
Numbers = TypeVar("Numbers", bound=Any)

NAMES = ("hour", "day_of_week", "day_of_year", "weekend", "days")
YEARS = (1900, 2101)
"""Between their beginnings the changes of a time zone's offset are known."""
DAY = 86_400


class CalendarFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Moments, in seconds since 1970 in UTC, to numbers that follow the clock and the calendar.

    For each moment: the hour of the day [0, 24) with its fraction, the day of the week from 0 on
    Mondays, the day of the year from 1, 1 at weekends and 0 else, and the days since the first row.
    All are NaN where the moment is missing. Days begin and end in the time zone, with its daylight
    saving time.

    Args:
        timezone: a name of the IANA time zone database.

    Attributes:
        first_: the earliest moment of each column, in seconds.
        turns_: when the time zone's offset changes, in seconds.
        offsets_: before the first of these and after each, in seconds.
    """

    def __init__(self, timezone: str = TIMEZONE.key) -> None:
        self.timezone = timezone

    def fit(self, X: Any, y: Any = None) -> Self:
        """Remember the first moment of each column [rows, columns], and the time zone's offsets."""
        moments = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = moments.shape[1]
        self.feature_names_in_ = np.asarray(getattr(X, "columns", range(moments.shape[1])), object)
        first = np.nanmin(moments, axis=0, initial=np.inf)
        self.first_ = np.where(np.isfinite(first), first, 0.0)
        self.turns_, self.offsets_ = offsets_of(self.timezone)
        return self

    def transform(self, X: Any) -> Floats:
        """The numbers [rows, 5 per column]: the hours of all columns, then as in `NAMES`."""
        moments = np.asarray(X, dtype=np.float64)
        offsets = self.offsets_[np.searchsorted(self.turns_, moments, side="right")]
        return np.hstack(calendar(moments, moments + offsets, self.first_, np.floor))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """A name for each number."""
        return np.array([f"{of}_{name}" for name in NAMES for of in self.feature_names_in_], object)


def calendar(
    moments: Numbers,
    local: Numbers,
    first: Numbers,
    floor: Callable[[Numbers], Numbers],
) -> list[Numbers]:
    """The numbers for some moments, each as it is named in `NAMES`.

    Plain arithmetic, with which `model.compiling` writes the very same as a graph. The date is that
    of http://howardhinnant.github.io/date_algorithms.html#civil_from_days: years of 400 to an era,
    each from March on, so that the leap day is the last.

    Args:
        moments: in seconds since 1970 in UTC.
        local: the same on the clocks of the time zone.
        first: the moment from which days are counted.
        floor: the largest whole numbers that are not above.
    """
    days = floor(local / DAY)
    hour = (local - days * DAY) / 3600
    week = days + 3  # 1970 began on a Thursday
    day_of_week = week - floor(week / 7) * 7
    since = days + 719_468
    day_of_era = since - floor(since / 146_097) * 146_097
    leap_days = floor(day_of_era / 1460) - floor(day_of_era / 36_524)
    year = floor((day_of_era - leap_days - floor(day_of_era / 146_096)) / 365)
    from_march = day_of_era - (year * 365 + floor(year / 4) - floor(year / 100))

    def divides(number: int) -> Any:
        return floor(year / number) - floor((year - 1) / number)

    leap = divides(4) - divides(100) + divides(400)
    in_winter = floor(from_march / 306)  # January and February
    day_of_year = from_march + 60 + leap - in_winter * (leap + 365)
    return [hour, day_of_week, day_of_year, floor(day_of_week / 5), (moments - first) / DAY]


@cache
def offsets_of(timezone: str) -> tuple[Floats, Floats]:
    """When a time zone's offset from UTC changes, and what it is before and after, in seconds."""
    zone = ZoneInfo(timezone)

    def offset(second: int) -> float:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
        return (moment.astimezone(zone).utcoffset() or timedelta()).total_seconds()

    start, stop = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in YEARS)
    turns, offsets = [], [offset(start)]
    for later in range(start + DAY, stop, DAY):
        if offset(later) == offsets[-1]:
            continue
        below, above = later - DAY, later
        while below + 1 < above:
            middle = (below + above) // 2
            below, above = (middle, above) if offset(middle) == offsets[-1] else (below, middle)
        turns.append(float(above))
        offsets.append(offset(later))
    return np.array(turns), np.array(offsets)
