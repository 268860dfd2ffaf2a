"""A CSV file is read as Python's `csv` reads it; a line that is no row costs no other row."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model.tables import reading
from model.tables.reading import CsvTable

HEAD = b"p,q\n"
BLOCK = 48
SOUP = [b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"\0"]
SOUP += [
    "é".encode(),
    "\U0001f680".encode(),
    b"x,y\n",
    b'"1\n2",\n',
    b'"a ""b""\r",c\r\n',
    b'5" p,q\n',
    b"z" * 30,
]
Row = tuple[int, list[str | None] | None]
"""The line on which it begins, and its cells if it is one."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows in a batch, and short blocks."""
    monkeypatch.setattr(reading, "BATCH_ROWS", 3)
    monkeypatch.setattr(reading, "BLOCK_BYTES", BLOCK)


def read(path: Path) -> tuple[list[Row], list[str]]:
    """What a table says of a file: the rows, and what is wrong with those that are none."""
    table = CsvTable(path)
    rows: list[Row] = []
    faults: list[str] = []
    for batch in table.batches(table.start):
        cells = [column.to_pylist() for column in batch.cells.columns]
        here: list[Any] = [*zip(batch.lines, map(list, zip(*cells, strict=True)), strict=True)]
        for position, fault in batch.malformed.items():
            assert here[position][1] == [None, None]
            here[position] = (here[position][0], None)
            faults.append(fault)
        assert batch.start.row == len(rows)
        rows += here
    return rows, faults


def oracle(data: bytes) -> Iterator[Row]:
    """The same by Python's csv, after the header."""
    text, line = data.decode("utf-8", "surrogateescape"), 2
    while text:
        lines = io.StringIO(text, newline="\n").readlines()
        reader = csv.reader(lines, strict=True)
        try:
            cells = next(reader)
            taken = "".join(lines[: reader.line_num])
            is_row = len(cells) == 2 and taken.encode("utf-8", "ignore").decode() == taken
        except csv.Error:
            cells, taken, is_row = [""], lines[0], False
        if len(taken.encode("utf-8", "surrogateescape")) > BLOCK:
            taken, is_row = lines[0], False
        if cells:
            yield line, [cell or None for cell in cells] if is_row else None
        text = text[len(taken) :]
        line += taken.count("\n")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=500
)
@given(soup=st.lists(st.sampled_from(SOUP), max_size=30))
@example(soup=[b"\xef\xbb\xbf", b"x,y\n"])
@example(soup=[b"\r", b"x,y\n"])
def test_any_bytes_are_read_as_python_reads_them(
    soup: list[bytes], tmp_path: Path, small: None
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b"".join(soup))
    assert read(path)[0] == [*oracle(b"".join(soup))]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"1,2,3\n", "has more or fewer cells than the header: '1,2,3'"),
        (b"1\r\n", "has more or fewer cells than the header: '1'"),
        (b'"1,2\n', "has quotes that do not match, or a carriage return"),
        (b'"1"2,3\n', "has quotes that do not match, or a carriage return"),
        (b"1\r2,3\n", "has quotes that do not match, or a carriage return"),
        (b"caf\xe9,\n", "is not UTF-8: 'caf\\\\xe9,'"),
        (b"1," + b"2" * 200 + b"\n", "has a quote that is not closed, or is too long: '1,222"),
        (b'"1,' + b"2" * 200 + b"\n", "has a quote that is not closed, or is too long: '\"1,222"),
    ],
)
def test_a_line_that_is_no_row_costs_no_other_row(
    odd: bytes, reason: str, tmp_path: Path, small: None
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b'a,"b\nb"\n\n' + odd + b'"c",d\n' + b"e,f\n" * 30 + b"g,h")
    rows, (fault,) = read(path)
    assert fault.startswith(reason)
    assert rows[:3] == [(2, ["a", "b\nb"]), (5, None), (6, ["c", "d"])]
    assert rows[3:] == [*((line, ["e", "f"]) for line in range(7, 37)), (37, ["g", "h"])]


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(HEAD + b'a,b\n"c,d\n' + b"e,f\n" * 3)
    rows, faults = read(path)
    assert rows == [(2, ["a", "b"]), (3, None), *((line, ["e", "f"]) for line in (4, 5, 6))]
    assert faults == ["has a quote that is not closed, or is too long: '\"c,d'"]
