"""A cell of text and a value in JSON are held to the same limits."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import VALUES

from contract.timezone import TIMEZONE
from contract.types import KINDS

MOMENT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_value_is_read_back_from_its_text(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    assert KINDS[name].parse(str(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("float", " 1e3 ", 1000.0),
        ("float", "-.5", -0.5),
        ("int", "4.0", 4),
        ("int", "1e3", 1000),
        ("bool", "TRUE", True),
        ("category", " a ", " a "),
        ("datetime", "2026-03-29T01:30:00Z", MOMENT),
        ("datetime", "2026-03-29 03:30+02:00", MOMENT),
        ("datetime", " 2026-03-28T21:30:00.000000-0400 ", MOMENT),
        ("datetime", "2026-03-29T01:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=TIMEZONE)),
        ("datetime", "2026-07-01", datetime(2026, 7, 1, tzinfo=TIMEZONE)),
    ],
)
def test_other_spellings_of_a_value(name: str, text: str, value: Any) -> None:
    parsed = KINDS[name].parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("float", ["", "x", "nan", "inf", "1e16", "1e999", "1_000", "1,5", "0x1f"]),
        ("int", ["", "1.5", "9007199254740993", "9" * 5000, "1e999", "true"]),
        ("bool", ["", "1", "yes", "truee"]),
        (
            "datetime",
            ["", "1.7e9", "20260329", "2026-03-29T25:00", "29.03.2026", "2026-03-29x01:30"],
        ),
        ("category", ["", "a\nb", "x" * 201, "\ud800"]),
    ],
)
def test_what_is_no_value_is_named(name: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError, match="expected"):
            KINDS[name].parse(text)


def test_a_moment_is_in_utc_wherever_it_comes_from() -> None:
    for value in ("2026-03-29T03:30:00+02:00", MOMENT.astimezone(TIMEZONE)):
        (moment,) = KINDS["datetime"].check([value])
        assert (moment.isoformat(), moment.tzinfo) == ("2026-03-29T01:30:00+00:00", UTC)
