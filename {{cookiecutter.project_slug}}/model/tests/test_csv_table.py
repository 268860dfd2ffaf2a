"""What is no row of a CSV file is told by its line, and costs no other row."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model.bulk import csv_table
from model.bulk.csv_table import CsvTable

# Python's writer leaves a lone return without quotes.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=5)
HEAD = b"p,q\n"
SOUP = [b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"\0"]
SOUP += [b"x,y\n", b'"1\n2",\n', b'"a ""b""\r",c\r\n', b"z" * 30]


def drain(path: Path) -> list[Any]:
    """All that is said of a table: number, line and cells of each row, or what is wrong with it."""
    table = CsvTable(path)
    said: list[Any] = []
    for batch in table.batches(table.start):
        assert batch.lines is not None
        cells = zip(*(column.to_pylist() for column in batch.cells.columns), strict=True)
        here = [*zip(batch.rows.tolist(), batch.lines.tolist(), cells, strict=True)]
        said += sorted([*here, *map(tuple, batch.malformed)], key=lambda each: int(each[0]))
    assert [each[0] for each in said] == list(range(1, len(said) + 1))
    return said


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(soup=st.lists(st.sampled_from(SOUP), max_size=30))
@example(soup=[b"\xef\xbb\xbf", b"x,y\n"])
@example(soup=[b"\r", b"x,y\n"])
def test_arrow_and_python_say_the_same(soup: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b"".join(soup))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "ROWS", 3)
        patch.setattr(csv_table, "BLOCK", 48)
        said = drain(path)
        patch.setattr(CsvTable, "_plain", lambda *_: None)
        assert drain(path) == said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(TEXT, TEXT)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_rows_are_read_as_they_were_written(
    rows: list[tuple[str, str]], quoting: Any, end: str, tmp_path: Path
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    lines = []
    for row in [("p", "q"), *rows]:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    path = tmp_path / "rows.csv"
    path.write_bytes(text.getvalue().encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "ROWS", 3)
        cells = [tuple(cell or None for cell in row) for row in rows]
        numbers = range(1, len(rows) + 1)
        assert drain(path) == [*zip(numbers, lines[1:], cells, strict=True)]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"1,2,3\n", "has 3 cells, not 2: '1,2,3'"),
        (b"1\r\n", "has 1 cells, not 2: '1'"),
        (b'"1,2\n', "is no row (',' expected after '\"'): '\"1,2'"),
        (b'"1"2,3\n', "is no row (',' expected after '\"')"),
        (b"caf\xe9,\n", "is not UTF-8: 'caf\\\\xe9,'"),
        (b"1\r2,3\n", "is no row (new-line character seen in unquoted field"),
        (b"1," + b"2" * 200 + b"\n", "is longer than 100 bytes"),
    ],
)
def test_what_is_no_row_costs_no_other_row(
    odd: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "BLOCK", 100)
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b'a,"b\nb"\n\n' + odd + b'"c",d\n' + b"e,f\n" * 30 + b"g,h")
    (first, told, third, *rest, last) = drain(path)
    assert first == (1, 2, ("a", "b\nb"))
    assert (told[:2], third) == ((2, 5), (3, 6, ("c", "d")))
    assert told[2].startswith(reason)
    assert (len(rest), last) == (30, (34, 37, ("g", "h")))


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b'a,b\n"c,d\n' + b"e,f\n" * 3)
    said = drain(path)
    assert [each[2] for each in said if each[0] != 2] == [("a", "b"), *[("e", "f")] * 3]
    assert said[1][2] == "is no row (unexpected end of data): '\"c,d'"
