"""The `model` command: what it prints, and one line for what goes wrong."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REQUEST, make_history, write_csv

from contract import TARGET, Prediction, golden
from model import cli
from model.artifact import DIGEST_FILE, MANIFEST_FILE, MODEL_FILE
from model.bulk import csv_table, job
from model.bulk.predicting import predict as predict_rows
from model.store import Store

FEATURES = golden()[-1].features
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in an empty folder; its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL_URL", "MODEL_TOKENS", "MODEL_STORE", "MODEL_WORKERS", "LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["model", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def trained(run: Run, tmp_path: Path) -> dict[str, Any]:
    """The manifest of the first version, trained on made-up rows that say so."""
    path = write_csv(tmp_path / "history.csv", make_history(60))
    status, out, _ = run("train", "--data", str(path))
    assert status == 0, out
    manifest: dict[str, Any] = json.loads(run("show", "--json")[1])
    return manifest


def test_train_show_promote(run: Run, trained: dict[str, Any], tmp_path: Path) -> None:
    first = trained["version"]
    assert f"{first} (current)" in run("show")[1]
    other = write_csv(tmp_path / "other.csv", make_history(60, seed=1))
    status, out, _ = run("train", "--data", str(other), "--no-promote")
    assert status == 0
    assert "(current)" not in out
    assert [line[:2] for line in run("versions")[1].splitlines()] == ["* ", "  "]
    second = run("versions")[1].splitlines()[1].split()[0]
    assert run("promote", second)[0] == 0
    assert json.loads(run("show", "--json")[1])["version"] == second
    assert json.loads(run("show", first, "--json")[1]) == trained
    assert run("promote", first)[:2] == (0, f"current: {first}\n")
    assert "unchanged" in run("train", "--data", str(tmp_path / "history.csv"))[1]


def test_progress_is_told_in_lines_where_there_is_no_terminal(run: Run, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(60))
    _, _, err = run("train", "--data", str(path))
    assert [line[:5] for line in err.splitlines()] == [f"[{step}/6]" for step in range(1, 7)]


def test_predict(
    run: Run, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = run("predict", json.dumps(FEATURES[0]))[1]
    Prediction.model_validate_json(alone)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in FEATURES), "utf-8")
    monkeypatch.setattr(sys, "stdin", lines.open(encoding="utf-8"))
    status, out, _ = run("predict", "--version", trained["version"])
    assert status == 0
    assert len(out.splitlines()) == len(REQUEST["inputs"][0]["data"])
    assert out.startswith(alone)
    sys.stdin.close()


@pytest.mark.parametrize("row", ["{", "{}", ' {"nobody": 1}'])
def test_a_row_that_is_none_is_refused(row: str, run: Run, trained: dict[str, Any]) -> None:
    status, out, err = run("predict", row)
    assert (status, out) == (1, "")
    assert err.startswith("model: row 1: ")


@pytest.fixture
def table(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a table may be, beside which nothing is yet; the current version is the store's."""
    monkeypatch.setenv("MODEL_STORE", str(store.path))
    return tmp_path / "rows.csv"


def test_predict_for_a_file_of_rows(run: Run, table: Path) -> None:
    write_csv(table, make_history(30))
    assert run("predict", "rows.csv") == (0, "", "30 rows predicted in rows.predictions.csv\n")
    assert "rows.predictions.csv: is there already" in run("predict", "rows.csv")[2]
    with table.open("a") as file:
        file.write("odd\n" * 1000)
    status, out, err = run("predict", "rows.csv", "--overwrite", "--output", "out.csv")
    assert (status, out) == (3, "")
    assert err == "30 rows predicted in out.csv, 1,000 set aside in out.rejected.csv\n"


@pytest.mark.parametrize("name", ["", "[]", "rows", "1" * 5000, "none.csv", "a" * 5000 + ".csv"])
def test_a_file_that_is_none_is_refused(name: str, run: Run, table: Path) -> None:
    status, out, err = run("predict", name)
    assert (status, out) == (1, "")
    assert err.startswith("model: ")
    assert len(err.splitlines()) == 1


def test_the_options_of_a_file_are_refused_for_a_row(run: Run, table: Path) -> None:
    for option in (["--overwrite"], ["--output", "out.csv"]):
        assert run("predict", json.dumps(FEATURES[0]), *option)[0] == 2


def test_rows_in_bulk_are_counted_now_and_then(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "SECONDS_A_LINE", 0)
    write_csv(table, make_history(30))
    *lines, _ = run("predict", "rows.csv")[2].splitlines()
    assert lines[-1].startswith("100%, 30 rows, ")


def test_a_job_that_is_interrupted_says_how_to_go_on(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([predict_rows, predict_rows])

    def interrupted(*arguments: Any) -> Any:
        for call in calls:
            return call(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "SAVE_EVERY", 0)
    for module in (csv_table, job):
        monkeypatch.setattr(module, "ROWS", 10)
    monkeypatch.setattr(job, "predict", interrupted)
    write_csv(table, make_history(30))
    status, _, err = run("predict", "rows.csv")
    assert (status, err) == (1, "model: rows.csv: stopped; the same command goes on where it was\n")
    monkeypatch.setattr(job, "predict", predict_rows)
    status, _, err = run("predict", "rows.csv")
    assert (status, err.splitlines()[0]) == (0, "going on after row 20")


@pytest.mark.parametrize(
    ("arguments", "environment", "fault"),
    [
        (["show"], {}, "make train"),
        (["predict", "{}"], {}, "make train"),
        (["promote", "0" * 12], {}, "no version"),
        (["train", "--data", "none.csv"], {}, "none.csv: No such file"),
        (["serve"], {}, "MODEL_TOKENS"),
        (["serve"], {"MODEL_TOKENS": "a"}, "make train"),
        (["serve"], {"MODEL_TOKENS": "a", "MODEL_URL": "library:x"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": "a", "MODEL_URL": "http+unix://"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": "a", "MODEL_URL": "http://x:y"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": "a\u00e9"}, "MODEL_TOKENS: a token is made of"),
        (["serve"], {"MODEL_WORKERS": "0", "MODEL_MAX_BODY": "x"}, "MODEL_WORKERS"),
        (["versions"], {"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(
    arguments: list[str],
    environment: dict[str, str],
    fault: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    (said,) = (line for line in err.splitlines() if not line.startswith("["))
    assert said.startswith("model: ")
    assert fault in said


def test_settings_are_read_from_the_folders_env_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODEL_STORE=elsewhere\nOTHER=1\n")
    assert "elsewhere" in run("show")[2]


def test_synthetic_data_are_told_loudly(run: Run, trained: dict[str, Any], tmp_path: Path) -> None:
    assert "SYNTHETIC" not in run("show")[1] + run("versions")[1]
    said = {"source": "made up", "synthetic": True, "sha256": trained["data"]["sha256"]}
    (tmp_path / "provenance.json").write_text(json.dumps(said))
    assert "SYNTHETIC" in run("train", "--data", str(tmp_path / "history.csv"))[1]
    assert "SYNTHETIC" in run("show")[1]
    assert ["SYNTHETIC" in line for line in run("versions")[1].splitlines()] == [False, True]
    assert TARGET.name in run("show")[1]


def test_made_up_rows_that_were_edited_stay_so(run: Run, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(60))
    said = {"source": "made up", "synthetic": True, "sha256": "of the file before the edit"}
    (tmp_path / "provenance.json").write_text(json.dumps(said))
    _, out, err = run("train", "--data", str(path))
    assert "SYNTHETIC" in out
    assert "changed since: made up" in out
    (warning,) = (line for line in err.splitlines() if not line.startswith("["))
    assert "provenance.json does not describe this history.csv" in warning


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE, DIGEST_FILE])
def test_training_again_repairs_a_version(
    name: str, run: Run, trained: dict[str, Any], tmp_path: Path
) -> None:
    with (tmp_path / "artifacts" / trained["version"] / name).open("ab") as file:
        file.write(b"x")
    assert "make train" in run("predict", json.dumps(FEATURES[0]))[2]
    status, out, _ = run("train", "--data", str(tmp_path / "history.csv"))
    assert (status, "unchanged" in out) == (0, False)
    assert run("predict", json.dumps(FEATURES[0]))[0] == 0


def test_a_current_version_that_is_gone_can_be_replaced_by_another(
    run: Run, trained: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "artifacts" / trained["version"]
    folder.rename(tmp_path / "gone")
    assert "run `make train`, or `model promote` another" in run("show")[2]
    other = write_csv(tmp_path / "other.csv", make_history(60, seed=1))
    run("train", "--data", str(other), "--no-promote")
    status, out, _ = run("versions")
    assert (status, out[:2]) == (0, "  ")
    assert run("promote", out.split()[0])[0] == 0
    assert run("show")[0] == 0
