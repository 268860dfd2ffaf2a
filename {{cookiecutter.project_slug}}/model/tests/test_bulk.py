"""Every row of a table is predicted or rejected, once, as it would be alone."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import cell_of, make_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_history import VALUES, WRONG

from contract import INPUTS, TARGET
from contract.tolerance import TOLERANCE
from contract.types import KINDS
from model.artifacts.store import Store
from model.bulk.job import Job
from model.columns import add_derived
from model.engines.loading import Model
from model.errors import ModelError
from model.tables import reading

EXPECTED = f"expected_{TARGET.name}"
NAMES = [column.name for column in INPUTS]
TYPES = {
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "category": pa.string(),
    "datetime": pa.timestamp("us", "UTC"),
}
UNFIT: dict[str, list[Any]] = {
    "float": [float("inf")],
    "int": [2**53 + 1],
    "bool": [],
    "category": ["a\nb", "x" * 201],
    "datetime": [],
}
"""What a Parquet file can hold and the contract cannot."""
FEW = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
Rows = dict[str, list[Any]]


@pytest.fixture(scope="session")
def model(store: Store) -> Model:
    """What predicts."""
    return Model.load(store.folder())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows in a batch."""
    monkeypatch.setattr(reading, "BATCH_ROWS", 7)


def some(rows: int) -> Rows:
    """Good rows, with a column that is no input."""
    ids = [f'no. "{row}",\n{rows}' for row in range(rows)]
    columns = make_history(rows).columns
    return {"id": ids, **{name: list(columns[name]) for name in NAMES}}


def write(path: Path, rows: Rows) -> Path:
    """The rows as a file; in CSV any cell may be a string."""
    if path.suffix == ".csv":
        lines = zip(*([cell_of(cell) for cell in column] for column in rows.values()), strict=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([list(rows), *lines])
    else:
        types = {column.name: TYPES[column.kind] for column in INPUTS}
        columns = {name: pa.array(rows[name], types.get(name)) for name in rows}
        pq.write_table(pa.table(columns), path, row_group_size=14)
    return path


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file, as text; none if there is no file."""
    if not path.exists():
        return []
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    rows = pq.read_table(path).to_pylist()
    return [{name: cell_of(value) for name, value in row.items()} for row in rows]


def run(model: Model, path: Path, output: Path | None = None) -> Job:
    """A job that has run to its end."""
    done = Job(model, path, output, overwrite=True)
    *_, last = done.run()
    assert (last.predicted, last.rejected) == (len(read(done.output)), len(read(done.rejects)))
    assert not list(path.parent.glob("*.part"))
    return done


def assert_predicted(found: dict[str, str], row: dict[str, Any], model: Model) -> None:
    """What stands in the output for a row is what the model predicts for it alone."""
    columns = add_derived({name: [row.get(name)] for name in NAMES})
    (alone,) = model.predict(columns).rows()
    assert found["model_version"] == model.manifest.version
    if "probabilities" not in alone:
        assert float(found[EXPECTED]) == pytest.approx(alone[TARGET.name], rel=TOLERANCE)
        return
    shares = {name: float(found[f"probability_{name}"]) for name in alone["probabilities"]}
    assert shares == pytest.approx(alone["probabilities"], abs=TOLERANCE)
    assert found[EXPECTED] == max(shares, key=lambda name: shares[name])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("into", ["csv", "parquet"])
def test_either_format_in_and_out(
    kind: str, into: str, model: Model, tmp_path: Path, small: None
) -> None:
    rows = some(40)
    done = run(model, write(tmp_path / f"rows.{kind}", rows), tmp_path / f"out.{into}")
    found = read(done.output)
    assert [each["row"] for each in found] == [str(row + 1) for row in range(40)]
    assert [each["id"] for each in found] == rows["id"]
    assert not set(NAMES) & set(found[0])
    for row, each in enumerate(found):
        assert_predicted(each, {name: rows[name][row] for name in NAMES}, model)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_header_is_read_as_the_name_that_it_becomes(
    kind: str, model: Model, tmp_path: Path
) -> None:
    rows = some(3)
    headers = {"My Id": rows["id"]} | {name.upper(): rows[name] for name in NAMES}
    as_named = read(run(model, write(tmp_path / f"named.{kind}", rows)).output)
    found = read(run(model, write(tmp_path / f"rows.{kind}", headers)).output)
    assert [each.pop("My Id") for each in found] == [each.pop("id") for each in as_named]
    assert found == as_named


@FEW
@given(data=st.data())
def test_every_row_is_predicted_or_rejected(
    data: st.DataObject, model: Model, tmp_path: Path, small: None
) -> None:
    cells = [
        st.one_of(VALUES[each.kind].map(cell_of), st.sampled_from(["", *WRONG[each.kind]]))
        for each in INPUTS
    ]
    rows = data.draw(st.lists(st.tuples(*cells), max_size=20))
    path = write(
        tmp_path / "rows.csv", {name: [r[at] for r in rows] for at, name in enumerate(NAMES)}
    )
    done = run(model, path)
    predicted, rejected = read(done.output), read(done.rejects)
    for row, texts in enumerate(rows, start=1):
        values: dict[str, Any] = {}
        faults = []
        for column, text in zip(INPUTS, texts, strict=True):
            try:
                values[column.name] = KINDS[column.kind].parse(text) if text else None
                if not text and not column.optional:
                    faults.append((column.name, "is missing a value"))
            except ValueError as error:
                faults.append((column.name, str(error)))
        found = (rejected if faults else predicted).pop(0)
        assert found["row"] == str(row)
        if faults:
            assert (found["rejected_column"], found["rejected_reason"]) == faults[0]
            assert found["rejected_line"] == str(row + 1)
            assert [found[name] for name in NAMES] == list(texts)
        else:
            assert_predicted(found, values, model)
    assert not predicted
    assert not rejected


@FEW
@given(data=st.data())
def test_a_csv_and_a_parquet_of_the_same_rows_agree(
    data: st.DataObject, model: Model, tmp_path: Path, small: None
) -> None:
    values = [VALUES[each.kind] | st.sampled_from([None, *UNFIT[each.kind]]) for each in INPUTS]
    rows = data.draw(st.lists(st.tuples(*values), max_size=20))
    table: Rows = {name: [row[at] for row in rows] for at, name in enumerate(NAMES)}
    found = []
    for kind in ("csv", "parquet"):
        done = run(model, write(tmp_path / f"rows.{kind}", table), tmp_path / "out.csv")
        rejected = [{**each, "rejected_line": ""} for each in read(done.rejects)]
        found.append((done.output.read_bytes(), rejected))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("rows.txt", {}, "ends in .csv or .parquet"),
        ("rows.csv", {EXPECTED: ["1"]}, f"{EXPECTED} too; rename it"),
        ("rows.csv", {NAMES[0]: None}, f"column {NAMES[0]} is missing"),
        ("rows.parquet", {NAMES[0]: [b"bytes"]}, f"column {NAMES[0]} is of type"),
        ("rows.parquet", {"tags": [["a"]]}, "list"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    name: str, change: dict[str, Any], fault: str, model: Model, tmp_path: Path
) -> None:
    columns = {name: cells for name, cells in (some(1) | change).items() if cells is not None}
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        write(path.with_suffix(".csv"), columns).rename(path)
    if change == {NAMES[0]: None} and INPUTS[0].optional:
        assert len(read(run(model, path).output)) == 1
        return
    with pytest.raises(ModelError, match=fault) as caught:
        Job(model, path, tmp_path / "out.csv")
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b""),
        ("rows.csv", b"\xff\xfe\n"),
        ("rows.csv", b'"'),
        ("rows.csv", ",".join([*NAMES, *NAMES]).encode()),
        ("rows.csv", ",".join([*NAMES, "note", "note"]).encode()),
        ("rows.parquet", b""),
        ("rows.parquet", b"PAR1" * 10),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=str(path)) as caught:
        Job(model, path)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_there_is_not_overwritten_unasked(model: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", some(3))
    (tmp_path / "rows.rejected.csv").write_text("precious")
    for output in (None, path, tmp_path / "none" / "out.csv"):
        with pytest.raises(ModelError):
            list(Job(model, path, output).run())
    assert (tmp_path / "rows.rejected.csv").read_text() == "precious"
    with pytest.raises(ModelError, match="is what is to be read"):
        Job(model, path, path, overwrite=True)
