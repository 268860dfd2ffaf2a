"""The `service` command."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner
from conftest import Service
from pyarrow import parquet
from pydantic_core import to_jsonable_python
from sqlalchemy import insert, text
from support import ENTITY, NEW, OUTCOME, PATH, PLURAL, SPARSE

from contract import FEATURES, INPUTS, TARGET
from contract.names import beside
from service import cli, connections, export, tables
from service.cli import main
from service.database import Database, config
from service.tables import Prediction

COLUMNS = [*export.COLUMNS]
KEY, SERVED_BY, PREDICTED_AT = (
    beside(name, [each.name for each in FEATURES])
    for name in (f"{ENTITY}_id", "served_by", "predicted_at")
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a folder of its own, with the database at a URL."""
    monkeypatch.chdir(tmp_path)

    def invoke(url: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("DATABASE_URL", url)
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_migrating_waits_for_a_database_that_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/later/service.db"
    (tmp_path / "later").write_text("no folder yet")
    status, _, message = run(url, "migrate")
    assert (status, "cannot be used" in message) == (1, True)

    def start(seconds: float) -> None:
        (tmp_path / "later").unlink()

    monkeypatch.setattr(cli, "sleep", start)
    assert run(url, "migrate", "--wait=60")[0] == 0


def test_migrate(fresh_url: str, run: Run) -> None:
    for _ in range(2):
        assert run(fresh_url, "migrate") == (0, "The database is up to date.\n", "")
    service = Service(fresh_url)
    service.place()
    service.close()


def test_migrating_gives_up_on_a_lock_that_others_keep(
    fresh_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOCK_SECONDS", 0.5)
    database = Database(fresh_url, limited=False)
    database.migrate()
    with database.migrating() as connection:
        command.downgrade(config(connection), "0001")  # the next one refers to a table that is used
    with database.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {PLURAL}"))
        status, out, message = run(fresh_url, "migrate")
    assert (status, out, len(message.splitlines())) == (1, "", 1)
    assert message.startswith("Error: another connection keeps a lock")
    assert "run `service migrate` again, at a quieter moment" in message
    assert "It stopped at: CREATE TABLE" in message
    assert run(fresh_url, "migrate") == (0, "The database is up to date.\n", "")
    database.engine.dispose()


def place_some(service: Service) -> list[dict[str, Any]]:
    """Place four, one with a shadow, and record the outcomes of three: their rows, oldest first."""
    for body in (NEW, SPARSE, NEW, SPARSE):
        service.place(body)
    shadow = {**service.rows("predictions")[0], "served_by": tables.SHADOW}
    del shadow["id"]
    with service.database.writing() as session:
        session.execute(insert(Prediction), [shadow])
    for number in (2, 1, 4):
        service.post(OUTCOME, f"{PATH}/{number}/outcome")
    return [row for row in service.rows("predictions") if row["id"] in (1, 2, 4)]


def expected_values(service: Service, prediction: dict[str, Any]) -> list[Any]:
    """What stands in the columns of an export."""
    features, _ = service.predictor.asked[prediction["id"] - 1]
    number = prediction[f"{ENTITY}_id"]
    probabilities = [prediction["probabilities"]] if "probabilities" in prediction else []
    return [
        *(getattr(features, each.name) for each in FEATURES),
        prediction["outcome"],
        number,
        prediction["served_by"],
        prediction["expected"],
        *map(json.dumps, probabilities),
        prediction["model_version"],
        prediction["created_at"],
        next(row["recorded_at"] for row in service.rows(PLURAL) if row["id"] == number),
    ]


def as_cells(values: list[Any]) -> list[str]:
    texts = {"True": "true", "False": "false", "None": ""}
    return [texts.get(str(each), str(each)) for each in map(to_jsonable_python, values)]


def test_export_writes_what_was_served_the_outcome_and_who_predicted_it(
    service: Service, run: Run, tmp_path: Path
) -> None:
    stored = place_some(service)
    assert run(service.url, "export", "rows.csv") == (0, "", "")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    assert header[: len(FEATURES) + 3] == [
        *(each.name for each in (*FEATURES, TARGET)),
        *(KEY, SERVED_BY),
    ]
    assert rows == [as_cells(expected_values(service, each)) for each in stored]
    _, out, _ = run(service.url, "export", "-", "--shadows")
    served_by = [row[SERVED_BY] for row in csv.DictReader(out.splitlines())]
    assert served_by == ["model", "shadow", "model", "model"]


def test_export_writes_parquet_with_typed_columns(
    service: Service, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = place_some(service)
    monkeypatch.setattr(export, "GROUP_ROWS", 2)
    assert run(service.url, "export", "rows.parquet") == (0, "", "")
    with parquet.ParquetFile(tmp_path / "rows.parquet") as file:
        table, groups = file.read(), file.num_row_groups
    assert (table.column_names, groups) == (COLUMNS, 2)
    assert str(table.schema.field(PREDICTED_AT).type) == "timestamp[us, tz=UTC]"
    rows = [list(row.values()) for row in table.to_pylist()]
    assert rows == [expected_values(service, each) for each in stored]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(service.url, "export", "rows.parquet")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "see `parquet` in pyproject.toml" in err


def test_forget_deletes_every_row_about_one(service: Service, run: Run) -> None:
    place_some(service)
    service.post(NEW, headers={"Idempotency-Key": "k1"})
    service.post(OUTCOME, f"{PATH}/5/outcome")
    assert run(service.url, "forget", "1")[:2] == (0, f"deleted: 2 of predictions, 1 of {PLURAL}\n")
    code, out, _ = run(service.url, "forget", "5")
    assert (code, "1 of idempotency_keys" in out) == (0, True)
    assert service.client.get(f"{PATH}/1").status_code == 404
    _, out, _ = run(service.url, "export", "-", "--shadows")
    assert [row[KEY] for row in csv.DictReader(out.splitlines())] == ["2", "4"]
    assert service.rows("idempotency_keys") == []
    code, out, err = run(service.url, "forget", "1")
    assert (code, out, err) == (1, "", f"Error: there is no {ENTITY.replace('_', ' ')} 1\n")


def test_export_to_standard_output_with_nothing_known(url: str, run: Run) -> None:
    assert run(url, "export", "-") == (0, ",".join(COLUMNS) + "\n", "")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_export_that_breaks_off_leaves_the_file_as_it_was(
    service: Service, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_value: object) -> None:
        raise KeyboardInterrupt

    service.place()
    service.post(OUTCOME, f"{PATH}/1/outcome")
    (tmp_path / "rows.csv").write_text("as it was")
    monkeypatch.setattr(export, "_cell", stop)
    assert run(service.url, "export", "rows.csv")[0] == 1
    assert (tmp_path / "rows.csv").read_text() == "as it was"
    assert [path.name for path in tmp_path.glob("*rows.csv*")] == ["rows.csv"]
    code, _, err = run(service.url, "export", "rows.csv/rows.csv")
    assert (code, err) == (1, "Error: rows.csv/rows.csv: File exists\n")


@pytest.mark.parametrize("command", [["export", "rows.csv"], ["revision", "more"], ["forget", "1"]])
def test_a_database_without_tables(command: list[str], fresh_url: str, run: Run) -> None:
    code, out, err = run(fresh_url, *command)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "run `service migrate` first" in err


def test_export_leaves_out_rows_that_lack_a_feature_of_today(service: Service, run: Run) -> None:
    for number in (1, 2):
        service.place()
        service.post(OUTCOME, f"{PATH}/{number}/outcome")
    with service.database.sessions.begin() as session:
        session.get_one(Prediction, 1).features = {"gone": 1}
    code, out, err = run(service.url, "export", "-")
    lacking = not all(column.optional for column in INPUTS)
    assert (code, len(out.splitlines())) == (0, 2 if lacking else 3)
    assert err.startswith("1 rows left out") if lacking else not err


@pytest.mark.parametrize(
    "url",
    ["postgresql://somebody:secret@localhost:1/nothing", "sqlite:////proc/nothing/service.db"],
)
@pytest.mark.parametrize("command", [["migrate"], ["export", "rows.csv"], ["revision", "more"]])
def test_no_database(url: str, command: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("as it was")
    code, out, err = run(url, *command)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("Error: DATABASE_URL: cannot be used: ")
    assert "secret" not in err
    assert (tmp_path / "rows.csv").read_text() == "as it was"


def test_openapi(url: str, run: Run) -> None:
    code, out, _ = run(url, "openapi")
    assert code == 0
    assert PATH + "/{id}/outcome" in json.loads(out)["paths"]


def test_serve_with_invalid_settings(
    url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "0")
    code, out, err = run(url, "serve")
    assert code == 1
    assert [line.split(":")[0] for line in (out + err).splitlines()] == ["PORT", "WORKERS"]
    assert not (tmp_path / "var").exists()
