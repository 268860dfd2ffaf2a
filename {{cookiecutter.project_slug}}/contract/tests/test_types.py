"""A cell of text and a value in JSON are held to the same limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import VALUES

from contract.types import KINDS


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
    ],
)
def test_other_spellings_of_a_value(name: str, text: str, value: Any) -> None:
    parsed = KINDS[name].parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("float", ["", "x", "nan", "inf", "1e999", "1_000", "1,5", "0x1f"]),
        ("int", ["", "1.5", "9007199254740993", "9" * 5000, "1e999", "true"]),
        ("bool", ["", "1", "yes", "truee"]),
        ("category", ["", "a\nb", "x" * 201, "\ud800"]),
    ],
)
def test_what_is_no_value_is_named(name: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError, match="expected"):
            KINDS[name].parse(text)
