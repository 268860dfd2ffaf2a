"""What fits the contract is read as it was written; what does not is named by line and column."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import cell_of, make_history, write_csv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import FEATURES, TARGET, Column
from contract.types import EXACT
from model.artifact import Data
from model.errors import ModelError
from model.history import History, read_history

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "INT64": st.integers(-EXACT, EXACT),
    "BOOL": st.booleans(),
    "BYTES": st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\x7f"),
        min_size=1,
        max_size=200,
    ),
}
WRONG: dict[str, list[str]] = {
    "FP64": ["abc", "nan", "inf", "1,5", "1e999"],
    "INT64": ["abc", "1.5", "nan", "9007199254740993", "1" * 5000],
    "BOOL": ["2", "maybe", "t"],
    "BYTES": ["a\x07b", "x" * 201],
}
ALL = (*FEATURES, TARGET)


def _values(column: Column) -> st.SearchStrategy[Any]:
    return VALUES[column.datatype] | (st.none() if column.optional else st.nothing())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(*map(_values, ALL)), min_size=1, max_size=5))
def test_rows_are_read_as_they_were_written(rows: list[tuple[Any, ...]], tmp_path: Path) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    written = History(
        dict(zip([each.name for each in FEATURES], columns, strict=False)),
        columns[-1],
        Data(source="", sha256="", rows=0, synthetic=False),
    )
    read = read_history(write_csv(tmp_path / "history.csv", written))
    assert (read.columns, read.targets) == (written.columns, written.targets)
    assert read.data.rows == len(rows)


def _write(path: Path, *changes: tuple[int, str, str], rows: int = 4) -> Path:
    """A history file in which some cells, by row and column, are something else."""
    history = make_history(rows)
    columns = {**history.columns, TARGET.name: history.targets}
    lines = [[cell_of(value) for value in values] for values in zip(*columns.values(), strict=True)]
    for row, name, cell in changes:
        lines[row][list(columns).index(name)] = cell
    quoted = [",".join(f'"{cell}"' for cell in [*columns]), *(_line(line) for line in lines)]
    path.write_text("\n".join(quoted) + "\n", "utf-8")
    return path


def _line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


@pytest.mark.parametrize("column", ALL, ids=[each.name for each in ALL])
def test_a_cell_that_does_not_fit_is_named(column: Column, tmp_path: Path) -> None:
    for cell in WRONG[column.datatype] + ([] if column.optional else [""]):
        path = _write(tmp_path / "history.csv", (2, column.name, cell))
        with pytest.raises(ModelError) as caught:
            read_history(path)
        assert f"line 4, {column.name}: " in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_an_integer_may_be_written_as_a_float(tmp_path: Path) -> None:
    for column in FEATURES:
        if column.datatype == "INT64":
            path = _write(tmp_path / "history.csv", (1, column.name, "7.0"))
            assert read_history(path).columns[column.name][1] == 7


def test_columns_may_come_in_any_order_and_with_others(tmp_path: Path) -> None:
    history = make_history(3)
    columns = {TARGET.name: history.targets, "note": ["x\ny"] * 3, **history.columns}
    rows = zip(*columns.values(), strict=True)
    text = [_line(list(columns)), *(_line([cell_of(value) for value in row]) for row in rows)]
    path = tmp_path / "history.csv"
    path.write_text("\ufeff" + "\r\n".join(text), "utf-8", newline="")
    read = read_history(path)
    assert (read.columns, read.targets) == (history.columns, history.targets)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "missing"),
        (b"other\n1\n", "missing"),
        (b"\xff\xfe", "not UTF-8"),
        (",".join(each.name for each in (*ALL, TARGET)).encode(), "twice"),
        ((",".join(each.name for each in ALL) + "\n1,2,3,4,5,6,7" + ",8" * 50).encode(), "line 2"),
        ((",".join(each.name for each in ALL) + '\n"').encode(), "end of data"),
    ],
    ids=["empty", "other columns", "not text", "a column twice", "ragged", "unclosed quote"],
)
def test_a_file_that_is_no_history_is_refused(content: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=fault) as caught:
        read_history(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_history(tmp_path / "none.csv")


def test_provenance_stays_with_a_file_that_was_changed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(3))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_history(path).data == Data(
        source="history.csv", synthetic=False, sha256=digest, rows=3
    )
    said = {"source": "nowhere", "synthetic": True, "sha256": digest, "caveat": "made up"}
    (tmp_path / "provenance.json").write_text(json.dumps(said))
    as_told = read_history(path)
    assert as_told.data == Data.model_validate({**said, "rows": 3})
    assert as_told.warning is None
    told = {**said, "sha256": "other", "license": "CC0-1.0"}
    (tmp_path / "provenance.json").write_text(json.dumps(told))
    changed = read_history(path)
    source = "history.csv, changed since: nowhere"
    assert changed.data == Data.model_validate({**said, "source": source, "rows": 3})
    assert changed.warning
    assert "provenance.json does not describe this history.csv" in changed.warning
    for wrong in ("{", "[]", json.dumps({"sha256": digest})):
        (tmp_path / "provenance.json").write_text(wrong)
        with pytest.raises(ModelError, match="provenance"):
            read_history(path)
