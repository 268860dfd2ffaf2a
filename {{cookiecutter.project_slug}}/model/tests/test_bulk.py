"""Every row of a table gets its prediction or is set aside, once, whatever happens on the way."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import cell_of, make_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_history import VALUES, WRONG

from contract import FEATURES, TARGET
from model.bulk import csv_table, job, parquet_table
from model.bulk.job import Job
from model.cells import read_cell
from model.engine import TOLERANCE, Engine
from model.errors import ModelError
from model.store import Store

EXPECTED = f"expected_{TARGET.name}"
NAMES = [each.name for each in FEATURES]
TYPES = {"FP64": pa.float64(), "INT64": pa.int64(), "BOOL": pa.bool_(), "BYTES": pa.string()}
UNFIT: dict[str, list[Any]] = {
    "FP64": [float("inf")],
    "INT64": [2**53 + 1, -(2**60)],
    "BOOL": [],
    "BYTES": ["a\nb", "x" * 201],
}
"""What a Parquet file can hold and the contract cannot."""
FEW = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
Rows = dict[str, list[Any]]


@pytest.fixture(scope="module")
def engine(store: Store) -> Engine:
    """What predicts."""
    return Engine.load(store.folder())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of few rows."""
    for module in (csv_table, parquet_table, job):
        monkeypatch.setattr(module, "ROWS", 7)


def some(rows: int) -> Rows:
    """Good rows, with a column that is not the model's."""
    return {"id": [f'no. "{row}",\n{rows}' for row in range(rows)], **make_history(rows).columns}


def write(path: Path, rows: Rows) -> Path:
    """The rows as a file; in CSV any cell may be a string."""
    if path.suffix == ".csv":
        lines = zip(*([cell_of(each) for each in column] for column in rows.values()), strict=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([list(rows), *lines])
    else:
        types = {each.name: TYPES[each.datatype] for each in FEATURES}
        columns = {name: pa.array(rows[name], types.get(name)) for name in rows}
        pq.write_table(pa.table(columns), path, row_group_size=14)
    return path


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file, as text."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    rows = pq.read_table(path).to_pylist()
    return [{name: cell_of(value) for name, value in row.items()} for row in rows]


def run(engine: Engine, path: Path, output: Path | None = None) -> Job:
    """A job that has run to its end."""
    done = Job(engine, path, output, overwrite=True)
    *_, last = done.run()
    assert last.predicted == len(read(done.output))
    assert last.rejected == (len(read(done.rejects)) if done.rejects.exists() else 0)
    assert not list(path.parent.glob("*.part"))
    return done


def assert_answers(told: dict[str, str], row: dict[str, Any], engine: Engine) -> None:
    """What is told of a row is what the engine says of it alone."""
    classes = engine.manifest.classes
    (alone,) = engine.predict({name: [row[name]] for name in NAMES}).rows(classes)
    assert told["model_version"] == engine.manifest.version
    if classes is None:
        assert float(told[EXPECTED]) == pytest.approx(alone[TARGET.name], rel=TOLERANCE)
    else:
        shares = {name: float(told[f"probability_{name}"]) for name in classes}
        assert shares == pytest.approx(alone["probabilities"], abs=TOLERANCE)
        assert told[EXPECTED] == max(shares, key=lambda name: shares[name])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("into", ["csv", "parquet"])
def test_either_format_in_and_out(
    kind: str, into: str, engine: Engine, tmp_path: Path, small: None
) -> None:
    rows = some(40)
    done = run(engine, write(tmp_path / f"rows.{kind}", rows), tmp_path / f"out.{into}")
    told = read(done.output)
    assert [each["row"] for each in told] == [str(row + 1) for row in range(40)]
    assert [each["id"] for each in told] == rows["id"]
    assert not set(NAMES) & set(told[0])
    for row, each in enumerate(told):
        assert_answers(each, {name: rows[name][row] for name in NAMES}, engine)


@FEW
@given(data=st.data())
def test_every_row_is_predicted_or_set_aside(
    data: st.DataObject, engine: Engine, tmp_path: Path, small: None
) -> None:
    good = [VALUES[each.datatype].map(cell_of) for each in FEATURES]
    cells = [list(each) for each in data.draw(st.lists(st.tuples(*good), max_size=20))]
    places = st.tuples(st.integers(0, len(cells) - 1), st.integers(0, len(FEATURES) - 1))
    for row, position in data.draw(st.lists(places, max_size=8)) if cells else ():
        unfit = ["", "a\rb", *WRONG[FEATURES[position].datatype]]
        cells[row][position] = data.draw(st.sampled_from(unfit))
    path = write(
        tmp_path / "rows.csv", {name: [row[at] for row in cells] for at, name in enumerate(NAMES)}
    )
    done = run(engine, path)
    told = {int(each["row"]): each for each in read(done.output)}
    rejected = {int(e["row"]): e for e in read(done.rejects)} if done.rejects.exists() else {}
    assert list(told) == sorted(told)
    assert list(rejected) == sorted(rejected)
    assert sorted([*told, *rejected]) == list(range(1, len(cells) + 1))
    for row, line in enumerate(cells, start=1):
        values: dict[str, Any] = {}
        fault = None
        for column, cell in zip(FEATURES, line, strict=True):
            try:
                values[column.name] = read_cell(cell, column)
            except ValueError as error:
                fault = fault or (column.name, str(error))
        if fault is None:
            assert_answers(told[row], values, engine)
        else:
            said = rejected[row]
            assert (said["rejected_column"], said["rejected_reason"]) == fault
            assert [said[name] for name in NAMES] == line
            assert said["rejected_line"] == str(row + 1)


@FEW
@given(data=st.data())
def test_a_csv_and_a_parquet_of_the_same_rows_agree(
    data: st.DataObject, engine: Engine, tmp_path: Path, small: None
) -> None:
    values = [
        VALUES[each.datatype] | st.sampled_from([None, *UNFIT[each.datatype]]) for each in FEATURES
    ]
    rows = data.draw(st.lists(st.tuples(*values), max_size=20))
    table: Rows = {name: [row[at] for row in rows] for at, name in enumerate(NAMES)}
    told: list[tuple[bytes, list[Any]]] = []
    for kind in ("csv", "parquet"):
        done = run(engine, write(tmp_path / f"rows.{kind}", table), tmp_path / "out.csv")
        rejected = read(done.rejects) if done.rejects.exists() else []
        for each in rejected:
            each["rejected_line"] = ""
        told.append((done.output.read_bytes(), rejected))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("rows.txt", {}, "ends in .csv or .parquet"),
        ("rows.csv", {EXPECTED: ["1"]}, f"{EXPECTED} too; rename it"),
        ("rows.csv", {FEATURES[0].name: None}, f"has no column {FEATURES[0].name}"),
        (
            "rows.parquet",
            {FEATURES[0].name: [datetime.now(UTC)]},
            f"column {FEATURES[0].name} is of type",
        ),
        ("rows.parquet", {"tags": [["a"]]}, "column tags is of type list"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    name: str, change: dict[str, Any], fault: str, engine: Engine, tmp_path: Path
) -> None:
    rows = {**some(1), **change}
    table = pa.table({name: cells for name, cells in rows.items() if cells is not None})
    path = tmp_path / name
    writer = pq.write_table if path.suffix == ".parquet" else pa.csv.write_csv
    writer(table, path)
    if change == {FEATURES[0].name: None} and FEATURES[0].optional:
        assert len(read(run(engine, path).output)) == 1
        return
    with pytest.raises(ModelError, match=fault) as caught:
        Job(engine, path, tmp_path / "out.csv")
    assert len(str(caught.value).splitlines()) == 1
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b""),
        ("rows.csv", b"\xff\xfe\n"),
        ("rows.csv", b'"'),
        ("rows.csv", ",".join([*NAMES, *NAMES]).encode()),
        ("rows.parquet", b""),
        ("rows.parquet", b"PAR1" * 10),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Job(engine, path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_there_is_not_overwritten_unasked(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", some(3))
    (tmp_path / "rows.rejected.csv").write_text("precious")
    for output in (None, path, tmp_path / "none" / "out.csv"):
        with pytest.raises(ModelError):
            list(Job(engine, path, output).run())
    assert (tmp_path / "rows.rejected.csv").read_text() == "precious"
    with pytest.raises(ModelError, match="is what is to be read"):
        Job(engine, path, path, overwrite=True)
