"""What fits the contract is read as it was written; what does not is named by line and column."""

import hashlib
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import cell_of, make_history, write_csv, write_provenance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import FEATURES, INPUTS, TARGET, Column, Features, Inputs, LookedUp, assemble
from contract.evolution import OURS
from contract.types import EXACT
from model import columns as columns_module
from model.artifacts.manifest import Data
from model.columns import add_derived, to_arrays, to_values
from model.errors import ModelError
from model.training import history as history_module
from model.training.history import History, read_histories, read_history

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "float": st.floats(-EXACT, EXACT, exclude_min=True, exclude_max=True),
    "int": st.integers(-EXACT, EXACT),
    "bool": st.booleans(),
    "category": st.text(
        st.characters(
            exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="\u2065"
        ),
        min_size=1,
        max_size=200,
    ),
    # Within these years a float64 of seconds is exact to the microsecond.
    "datetime": st.datetimes(datetime(1850, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}
WRONG: dict[str, list[str]] = {
    "float": ["abc", "nan", "inf", "1,5", "1e16", "1e999"],
    "int": ["abc", "1.5", "nan", "9007199254740993", "1" * 5000],
    "bool": ["2", "maybe", "t"],
    "category": ["a\x07b", "x" * 201],
    "datetime": ["noon", "1.7e9", "2026-02-30", "0001-01-01T00:00+01:00"],
}
ALL = (*INPUTS, TARGET)
NAMES = [each.name for each in ALL]


def values_of(column: Column) -> st.SearchStrategy[Any]:
    """Any value that the contract allows in a column."""
    return VALUES[column.kind] | (st.none() if column.optional else st.nothing())


def values_in(history: History) -> dict[str, Any]:
    """Each feature's float, int, bool or str per row; None where it is missing."""
    return {each.name: to_values(history.columns[each.name], each) for each in FEATURES}


def write(path: Path, *rows: list[str], newline: str = "\n") -> Path:
    quoted = (['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows)
    path.write_text(newline.join(map(",".join, quoted)), "utf-8", newline="")
    return path


def cells(rows: int = 4) -> list[list[str]]:
    history = make_history(rows)
    columns = {**history.columns, TARGET.name: history.targets}
    return [list(map(cell_of, row)) for row in zip(*(columns[name] for name in NAMES), strict=True)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(*map(values_of, ALL)), min_size=1, max_size=5))
def test_a_row_is_read_as_it_was_written_and_derived_from_as_in_serving(
    rows: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    path = write(tmp_path / "history.csv", NAMES, *(list(map(cell_of, row)) for row in rows))
    read = read_history(path)
    assert (read.targets, read.data.rows) == ([row[-1] for row in rows], len(rows))
    for number, row in enumerate(rows):
        known = dict(zip(NAMES, row, strict=True))
        inputs = Inputs(**{name: known[name] for name in Inputs.model_fields})
        looked_up = LookedUp(**{name: known[name] for name in LookedUp.model_fields})
        features = {name: values[number] for name, values in values_in(read).items()}
        assert Features(**features) == assemble(inputs, looked_up)


@pytest.mark.parametrize("column", ALL, ids=NAMES)
def test_a_cell_that_does_not_fit_is_named(column: Column, tmp_path: Path) -> None:
    for cell in WRONG[column.kind] + ([] if column.optional else [""]):
        rows = cells()
        rows[2][NAMES.index(column.name)] = cell
        with pytest.raises(ModelError) as caught:
            read_history(write(tmp_path / "history.csv", NAMES, *rows))
        assert f"line 4, {column.name}: " in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_columns_may_come_in_any_order_and_with_others(tmp_path: Path) -> None:
    rows = [[*reversed(row), "x\ny", ""] for row in cells()]
    header = [*reversed(NAMES), "note", "note"]
    path = write(tmp_path / "history.csv", header, *rows, newline="\r\n")
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    read, history = read_history(path), make_history(4)
    assert (values_in(read), read.targets) == (history.columns, history.targets)


def test_columns_without_a_header_are_no_columns_of_the_contract(tmp_path: Path) -> None:
    header, *rows = [[*NAMES, "", ""], *([*row, "x", ""] for row in cells())]
    assert len(read_history(write(tmp_path / "history.csv", header, *rows))) == len(rows)


def test_a_header_is_read_as_the_name_that_it_becomes(tmp_path: Path) -> None:
    header = [name.upper().replace("_", ". ") for name in NAMES]
    read, history = read_history(write(tmp_path / "history.csv", header, *cells())), make_history(4)
    assert (values_in(read), read.targets) == (history.columns, history.targets)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a header"),
        (b"\xff\xfe", "utf-8"),
        (",".join([*NAMES, TARGET.name]).encode(), "twice"),
        (",".join([NAMES[0].upper(), f"{NAMES[0]}!"]).encode(), f"'{NAMES[0].upper()}' and "),
        ((",".join(NAMES) + "\n1,2,3,4,5,6,7" + ",8" * 50).encode(), "line 2"),
        ((",".join(NAMES) + '\n"').encode(), "line 2: has a quote"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_history_is_rejected(
    content: bytes | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=fault) as caught:
        read_history(path)
    assert str(path) in str(caught.value)


def test_provenance_stays_with_a_file_that_was_changed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(3))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    data = Data(source="history.csv", synthetic=False, sha256=digest, rows=3)
    assert read_history(path).data == data
    read = read_history(write_provenance(path, caveat="of the tests"))
    made_up = {"source": "made up", "synthetic": True, "caveat": "of the tests"}
    assert (read.data, read.warning) == (data.model_copy(update=made_up), None)
    read = read_history(write_provenance(path, sha256="another", license="CC0-1.0"))
    source = "history.csv, changed since: made up"
    assert read.data == data.model_copy(update={"source": source, "synthetic": True})
    assert "provenance.json does not describe this history.csv" in str(read.warning)
    for wrong in ("{", "[]", '{"source": "made up"}'):
        (tmp_path / "provenance.json").write_text(wrong)
        with pytest.raises(ModelError, match="provenance"):
            read_history(path)


@pytest.mark.parametrize("convert", [lambda columns: columns, to_arrays], ids=["lists", "arrays"])
def test_a_derived_feature_is_computed_from_the_values_of_its_own_row(
    convert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_assemble(inputs: Inputs, looked_up: LookedUp) -> SimpleNamespace:
        return SimpleNamespace(summary={**dict(inputs), **dict(looked_up)})

    history = make_history(20).columns
    monkeypatch.setattr(columns_module, "Derived", SimpleNamespace(model_fields={"summary": None}))
    monkeypatch.setattr(columns_module, "assemble", fake_assemble)
    columns = {each.name: convert(history)[each.name] for each in INPUTS}
    rows = zip(*(history[name] for name in columns), strict=True)
    expected = [dict(zip(columns, row, strict=True)) for row in rows]
    assert add_derived(columns)["summary"] == expected


def test_files_follow_each_other_and_each_is_told_by_its_digest(tmp_path: Path) -> None:
    rows = cells()
    old = write(tmp_path / "history.csv", NAMES, *rows)
    new = write(tmp_path / "product.csv", [*NAMES, "note"], *([*row, "x"] for row in rows[2:]))
    read = read_histories([old, new])
    assert values_in(read) == {
        name: [*values, *values[2:]] for name, values in values_in(read_history(old)).items()
    }
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (old, new)]
    assert [(part.source, part.sha256, part.rows) for part in read.data.parts] == [
        ("history.csv", digests[0], 4),
        ("product.csv", digests[1], 2),
    ]
    assert (read.data.source, read.data.rows) == ("history.csv and product.csv", 6)
    write(new, NAMES)
    read = read_histories([old, new])
    assert read.data == read_history(old).data
    assert f"{new} has no rows" in str(read.warning)


def test_beside_what_happened_nothing_made_up_is_learnt_from(tmp_path: Path) -> None:
    (tmp_path / "made-up").mkdir()
    made_up = write_provenance(write(tmp_path / "made-up/history.csv", NAMES, *cells()))
    real = write(tmp_path / "product.csv", NAMES, *cells()[:1])
    read = read_histories([made_up, real])
    assert (len(read), read.data) == (1, read_history(real).data)
    assert "synthetic rows are left out" in str(read.warning)
    assert len(read_histories([made_up])) == 4
    assert len(read_histories([made_up, write(real, NAMES)])) == 0


@pytest.mark.parametrize(
    ("kind", "optional", "served", "skewed"),
    [
        ("float", False, ["1.5", "2.5", "", "4.5"], 0),  # there was no such feature yet
        ("float", True, ["1.5", "", "3.5", "4.5000000000000001"], 1),
        ("float", False, ["1.5", "2.5", "abc", "4.500000000000001"], 1),
        ("category", False, ["1.5", "2.5", "3.5", "else"], 1),
    ],
)
def test_features_that_were_served_otherwise_than_they_are_derived_are_counted(
    kind: str,
    optional: bool,
    served: list[str],
    skewed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    column = Column("planted", kind, optional)
    values: Any = cycle([1.5, 2.5, 3.5, 4.5])
    monkeypatch.setitem(OURS.features, "planted", kind + "?" * optional)
    monkeypatch.setattr(columns_module, "Derived", SimpleNamespace(model_fields={"planted": None}))
    monkeypatch.setattr(
        columns_module,
        "assemble",
        lambda *_: SimpleNamespace(planted=next(values) if kind == "float" else str(next(values))),
    )
    monkeypatch.setattr(history_module, "DERIVED", [column])
    rows = ([*row, cell] for row, cell in zip(cells(), served, strict=True))
    path = write(tmp_path / "product.csv", [*NAMES, "planted"], *rows)
    read = read_history(path)
    assert read.skew == ({"planted": skewed} if skewed else {})
    told = f"{path}: planted is not derived as it was served, in {skewed} of 4 rows, first in row "
    assert (told in str(read.warning)) == bool(skewed)
    assert read.part(np.arange(2)).skew == read.skew
    assert read_histories([path, path]).skew == ({"planted": 2 * skewed} if skewed else {})
