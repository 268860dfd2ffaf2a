"""A cell is staged as what the contract of the stamped-out project takes it for."""

import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from conftest import TEMPLATE
from hypothesis import example, given
from hypothesis import strategies as st

from stamping.cells import KINDS, Column, is_mark, settle

PATH = TEMPLATE / "{{cookiecutter.project_slug}}" / "contract" / "src" / "contract" / "types.py"
STAGED_ALONE = {"yes": True, "y": True, "t": True, "1": True}
STAGED_ALONE |= {"no": False, "n": False, "f": False, "0": False}
"""What is staged as a bool besides, since a history is rewritten and a request is not."""

NEAR_A_VALUE = st.from_regex(r"\s?[+-]?[0-9.eE_]{1,25}\s?", fullmatch=True) | st.sampled_from(
    ["true", " FALSE", "Yes", "0", "1", "nan", "inf", "\u0663", "1\u2009", "9007199254740993.0"]
)
TEXTS = (
    st.text(st.characters(exclude_categories=[]))
    | st.text(max_size=4).map(lambda text: text * 60)
    | NEAR_A_VALUE
    | st.one_of(st.integers(-(2**54), 2**54), st.floats()).map(str)
)


def load_types() -> ModuleType:
    """`contract.types`, which has no Jinja and needs pydantic and the team's time zone alone.

    Not imported, which would leave byte code among the files to stamp out.
    """
    timezone: Any = ModuleType("contract.timezone")
    timezone.TIMEZONE = UTC
    sys.modules |= {"contract": ModuleType("contract"), "contract.timezone": timezone}
    module = ModuleType("contract_types")
    exec(compile(PATH.read_text("utf-8"), PATH, "exec"), vars(module))
    del sys.modules["contract.timezone"], sys.modules["contract"]
    return module


TYPES = load_types()


def parsed(kind: str, text: str) -> object:
    """The value of a cell according to the contract; None where it has none."""
    try:
        return TYPES.KINDS[kind].parse(text)
    except TYPES.UnexpectedValue:
        return None


def column(kind: str, *cells: str, delimiter: str = ",") -> Column:
    """A column with these cells, in a file of its own."""
    found = Column(kind)
    found.look(cells)
    settle([found], delimiter)
    return found


def plain(kind: str, *cells: str, delimiter: str = ",") -> list[str | None]:
    """The cells of a column as they are staged."""
    return column(kind, *cells, delimiter=delimiter).plain(cells)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
@example("9" * 41)
@example(str(2**53))
@example("9" * 5000)
@example("-0.0")
@example("1e999")
@example("4e0")
@example("\ud800")
@example("x" * 200)
@example("x" * 201)
@example("+-1")
@example("2026-11-27 08:15")
@example("2026-11-27T08:15:00,5+0100")
@example("2026-11-27T0815")
@example("0001-01-01T00:00:00+14:00")
@example("2026-W48-5")
def test_a_cell_is_staged_as_the_contract_takes_it(kind: str, text: str) -> None:
    settled = column(kind, text, *(["1.5"] if kind in ("float", "int") else []))
    (staged,) = settled.plain([text])
    if is_mark(text) and staged == "":
        return
    value = None if staged is None else parsed(kind, staged)
    alone = STAGED_ALONE.get(text.strip().lower()) if kind == "bool" else None
    expected = parsed(kind, text.strip() if kind == "category" else text)  # a history is stripped
    expected = expected if alone is None else alone
    if kind == "datetime" and expected is None:
        expected = value  # in a form that a history is rewritten from and a request may not have
    assert (value, type(value)) == (expected, type(expected))
    assert (staged is None) == (value is None)


@given(st.lists(TEXTS, max_size=5), st.sampled_from([*KINDS]))
def test_what_is_staged_stays_as_it_is(texts: list[str], kind: str) -> None:
    once = [cell for cell in plain(kind, *texts) if cell is not None]
    if "NA" not in texts:
        assert plain(kind, *once) == once


@pytest.mark.parametrize(
    ("cells", "delimiter", "staged"),
    [
        (["1,5", "2"], ",", ["1.5", "2"]),
        (["1,234", "5,678"], ",", ["1234", "5678"]),
        (["1,234", "5,678"], ";", ["1.234", "5.678"]),
        (["0,123", "5,678"], ",", ["0.123", "5.678"]),
        (["1.234,5", "8"], ";", ["1234.5", "8"]),
        (["1.234", "8"], ";", ["1.234", "8"]),
        (["1 234", "5\u00a0678,5"], ";", ["1234", "5678.5"]),
        (["12'345.5", "-1"], ",", ["12345.5", "-1"]),
        (["1,234,567.5", "12,34"], ",", ["1234567.5", None]),
        (["1.5", "1,5", "2.5"], ",", ["1.5", None, "2.5"]),
        (["1.5", " NA", "n/a", "?", "-", "None", ""], ",", ["1.5", *[""] * 6]),
    ],
)
def test_numbers_are_read_as_their_column_spells_them(
    cells: list[str], delimiter: str, staged: list[str]
) -> None:
    assert plain("float", *cells, delimiter=delimiter) == staged


def test_points_are_between_thousands_where_the_file_has_decimal_commas() -> None:
    points, commas = Column("float"), Column("float")
    points.look(["1.234", "56"])
    commas.look(["1,5"])
    settle([points, commas], ";")
    assert points.plain(["1.234", "56"]) == ["1234", "56"]
    assert points.remarks == ["decimal commas, points between thousands"]


@given(st.floats(-(2**52), 2**52, width=32), st.booleans())
def test_a_number_is_the_same_in_every_spelling(number: float, has_commas: bool) -> None:
    text = f"{number:,.3f}"
    swapped = text.translate({ord(","): ".", ord("."): ","})
    (staged, *_) = plain("float", swapped if has_commas else text, "0,5" if has_commas else "0.5")
    assert float(staged or "nan") == float(f"{number:.3f}")


@pytest.mark.parametrize(
    ("cells", "staged", "remark"),
    [
        (["2026-11-27", "2026-11-27 08:15"], ["2026-11-27", "2026-11-27T08:15"], None),
        (["2026-11-27T08:15:00+01:00"], ["2026-11-27T08:15:00+01:00"], None),
        (["2026-11-27 08:15:00.25 UTC"], ["2026-11-27T08:15:00.25Z"], None),
        (["2026-11-27T08:15:00-0530"], ["2026-11-27T08:15:00-05:30"], None),
        (["27.11.2026 08:15", "1.2.2026"], ["2026-11-27T08:15:00", "2026-02-01"], "day first"),
        (["11/27/2026 8:15 AM", "1/2/2026 12:00 pm"], None, "month first"),
        (["27-Nov-2026", "27 november 2026"], ["2026-11-27", "2026-11-27"], None),
        (["Nov 27, 2026", "Fri, 27 Nov 2026 08:15:00 GMT"], None, None),
        (["1/2/2026"], ["2026-01-02"], "month first, though the other fits too"),
        (["1.2.2026"], ["2026-02-01"], "day first, though the other fits too"),
        (["13/1/2026", "1/13/2026", "14/1/2026"], ["2026-01-13", None, "2026-01-14"], "day first"),
        (["2026-02-30", "10:15", "2026-11-27T25:00", "1.2/2026", "20261127"], [None] * 5, None),
    ],
)
def test_moments_become_iso_8601(
    cells: list[str], staged: list[str] | None, remark: str | None
) -> None:
    found = column("datetime", *cells)
    plain = found.plain(cells)
    assert staged is None or plain == staged
    assert all(datetime.fromisoformat(cell) for cell in plain if cell)
    assert staged or None not in plain
    assert found.values.remarks == ([remark] if remark else [])


def test_blanks_around_a_category_are_no_part_of_it() -> None:
    assert plain("category", " State-gov", "State-gov\t", "two words") == [
        *["State-gov"] * 2,
        "two words",
    ]


@pytest.mark.parametrize(
    ("cells", "staged"),
    [
        (["31/12/68", "1/1/1970"], ["2068-12-31", "1970-01-01"]),
        (["27-Nov-69"], ["1969-11-27"]),
    ],
)
def test_what_two_digit_years_are_taken_for_is_said(cells: list[str], staged: list[str]) -> None:
    found = column("datetime", *cells)
    assert found.plain(cells) == staged
    assert found.values.remarks[-1] == "two-digit years taken as 1969 to 2068"


FORMS = ["%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S", "%b %d, %Y %H:%M:%S"]


@given(st.lists(st.datetimes(datetime(1000, 1, 1)), min_size=1), st.sampled_from(FORMS))
def test_a_moment_is_the_same_in_every_form(moments: list[datetime], form: str) -> None:
    known = datetime(2026, 11, 27)  # by which the order of day and month is clear
    moments = [moment.replace(microsecond=0) for moment in [known, *moments]]
    cells = [
        moment.strftime(form).replace(f" {moment.year} ", f" {moment.year:04} ")
        for moment in moments
    ]
    assert plain("datetime", *cells) == [moment.isoformat() for moment in moments]


def test_a_word_is_missing_among_categories_where_it_is_so_among_numbers() -> None:
    numbers, words, alone = Column("float"), Column("category"), Column("category")
    cells = ["NA", "none", "?", "null", " N/A", "", "x"]
    numbers.look(["1", "NA", "?"])
    words.look(cells)
    alone.look(cells)
    settle([numbers, words], ",")
    assert words.plain(cells) == ["", "none", "", "", "", "", "x"]
    assert words.missing == {"NA", "?", "null", "N/A", ""}
    settle([alone], ",")
    assert alone.plain(cells) == ["NA", "none", "?", "", "", "", "x"]
