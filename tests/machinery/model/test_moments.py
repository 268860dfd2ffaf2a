"""What the calendar says of a moment is what the time zone database says, compiled or not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from compiled import by_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx.common.data_types import DoubleTensorType

from model.moments import NAMES, YEARS, CalendarFeatures, Floats, offsets_of

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Africa/Casablanca",  # changes around Ramadan
    "Pacific/Apia",  # left out a day
]
FIRST = datetime(2013, 1, 1, 5, tzinfo=UTC)
MOMENTS = st.datetimes(
    datetime(YEARS[0] + 1, 1, 1), datetime(YEARS[1] - 1, 1, 1), timezones=st.just(UTC)
)


def said_by_the_library(moment: datetime, zone: str) -> list[float]:
    """The numbers of one moment by Python's own calendar."""
    local = moment.astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return [
        (local.replace(tzinfo=None) - midnight) / timedelta(hours=1),
        local.weekday(),
        local.timetuple().tm_yday,
        float(local.weekday() >= 5),
        (moment - FIRST) / timedelta(days=1),
    ]


def seconds(*moments: datetime) -> Floats:
    return np.array([[each.timestamp()] for each in moments])


@pytest.mark.parametrize("zone", ZONES)
@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_the_numbers_are_those_of_the_time_zone_database(
    zone: str, moments: list[datetime]
) -> None:
    features = CalendarFeatures(zone).fit(seconds(FIRST, FIRST + timedelta(days=1)))
    expected = [said_by_the_library(each, zone) for each in moments]
    np.testing.assert_allclose(features.transform(seconds(*moments)), expected, atol=1e-6)


@pytest.mark.parametrize("zone", ZONES)
def test_the_graph_gives_the_same_numbers_to_the_bit(zone: str) -> None:
    turns, _ = offsets_of(zone)
    draw = np.random.default_rng(0)
    drawn = draw.uniform(*(datetime(year, 1, 1).timestamp() for year in YEARS), 2_000)
    years = [datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in range(*YEARS)]
    values = np.concatenate([turns, turns - 1, np.nextafter(turns, 0), drawn, years, [np.nan]])
    moments = np.column_stack([values, values[::-1]])
    features = CalendarFeatures(zone).fit(moments)
    np.testing.assert_array_equal(
        by_graph(features, DoubleTensorType, moments), features.transform(moments)
    )


def test_daylight_saving_moves_the_clock_by_an_hour() -> None:
    features = CalendarFeatures("Europe/Berlin").fit(seconds(FIRST))
    spring = datetime(2026, 3, 29, 1, tzinfo=UTC)
    hours = features.transform(seconds(spring - timedelta(seconds=1), spring))[:, 0]
    np.testing.assert_allclose(hours, [2 - 1 / 3600, 3])


def test_a_missing_moment_has_no_numbers_and_a_column_without_any_does_no_harm() -> None:
    moments = np.array([[np.nan, np.nan], [0.0, np.nan]])
    found = CalendarFeatures("UTC").fit(moments).transform(moments)
    assert np.isnan(found[0]).all()
    assert found[1, ::2].tolist() == [0, 3, 1, 0, 0]
    assert np.isnan(found[1, 1::2]).all()


def test_the_numbers_are_named_in_their_order() -> None:
    features = CalendarFeatures().fit(np.zeros((1, 2)))
    names = features.get_feature_names_out().tolist()
    assert names == [f"{column}_{name}" for name in NAMES for column in (0, 1)]
