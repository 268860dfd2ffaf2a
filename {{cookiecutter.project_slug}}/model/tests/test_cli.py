"""The `model` command: what it prints, and one line for what goes wrong."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Simple
from typing import Any

import numpy as np
import pytest
from conftest import Run, cell_of, make_history, train_by_force, write_csv, write_provenance
from numpy.testing import assert_allclose, assert_array_equal

from contract import FEATURES, INPUTS, TARGET, Prediction, golden
from model.artifacts.manifest import MANIFEST_FILE, METRIC, MODEL_FILE
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, SIGNATURE_FILE, check_whole
from model.cli import predicting
from model.columns import to_arrays
from model.engines.sklearn import SklearnEngine
from model.errors import ModelError
from model.serving.library import open_model
from model.training.history import History

TOKEN = "an-example-of-a-token-of-32-characters"
ROWS = [json.dumps({each.name: row[each.name] for each in INPUTS}) for row in golden()[-1].features]


def contradicted(rows: int = 60) -> History:
    """A history in whose last fifth the target is another than what the past teaches."""
    history = make_history(rows)
    ends = sorted(history.targets)[:: rows - 1]
    swapped = [ends[target == ends[0]] for target in history.targets]
    if TARGET.kind == "float":
        swapped = [100 - target for target in history.targets]
    return replace(history, targets=history.targets[: rows * 4 // 5] + swapped[rows * 4 // 5 :])


@pytest.fixture
def served(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs it in an empty folder on the store of all tests, which is not to be changed."""
    monkeypatch.setenv("MODEL_STORE", str(store.path))
    return run


def test_versions_are_trained_shown_and_promoted(run: Run, tmp_path: Path) -> None:
    history = write_csv(tmp_path / "history.csv", make_history(60))
    other = write_csv(tmp_path / "other.csv", make_history(60, seed=1))
    train_by_force(run, history)
    trained = json.loads(run("show", "--json")[1])
    first = trained["version"]
    assert f"{first} (current)" in run("show")[1]
    assert TARGET.name in run("show")[1]
    assert "(current)" not in train_by_force(run, other, "--no-promote")[0]
    lines = run("versions")[1].splitlines()
    assert [line[:2] for line in lines] == ["* ", "  "]
    second = lines[1].split()[0]
    assert run("promote", second, "--force")[0] == 2  # without a reason
    force = ("--force", "--reason", "tried")
    assert run("promote", second, *force)[:2] == (0, f"current: {second}\n")
    assert json.loads(run("show", "--json")[1])["version"] == second
    assert json.loads(run("show", first, "--json")[1]) == trained
    assert "unchanged" in train_by_force(run, history, "--force")[0]
    (tmp_path / "artifacts" / first).rename(tmp_path / "gone")
    assert f"no version '{first}'; run `make train`, or `model promote` one" in run("show")[2]
    assert run("promote", second, *force)[0] == 0
    assert run("show")[0] == 0
    (tmp_path / ".env").write_text("MODEL_STORE=elsewhere\nOTHER=1\n")
    assert "elsewhere" in run("show")[2]


def test_a_version_worse_than_its_baseline_becomes_current_by_force_alone(
    run: Run, tmp_path: Path
) -> None:
    history = write_csv(tmp_path / "history.csv", contradicted())
    command = ("train", "--data", str(history), "--no-compile")
    status, out, err = run(*command)
    (line,) = (line for line in err.splitlines() if line.startswith("model: "))
    version = out.split()[1]
    assert (status, "(current)" in out) == (1, False)
    assert line.startswith(f"model: version {version} is stored, but not the current one: its ")
    assert " of a constant; " in line
    assert f"model promote {version} --force" in line
    (known,) = run("versions")[1].splitlines()
    assert known.startswith(f"  {version}")
    assert f"{METRIC} " in known
    assert "(baseline " in known
    status, out, err = run("show")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "no current version; run `make train`, or `model promote` one of" in err
    assert run(*command, "--force")[0] == 0
    assert run("versions")[1].startswith("* ")
    status, out, _ = run(*command)
    assert (status, "unchanged" in out) == (0, True)


def test_a_version_is_judged_though_it_is_not_to_be_promoted(run: Run, tmp_path: Path) -> None:
    for history, status in ((make_history(200), 0), (contradicted(), 1)):
        path = write_csv(tmp_path / "history.csv", history)
        command = ("train", "--data", str(path), "--no-compile", "--no-promote")
        ended, out, err = run(*command)
        version = out.split()[1]
        assert ended == status, err
        if status:
            assert f"model: version {version} is stored, but not the current one: its " in err
        else:
            assert out.splitlines()[-1].startswith(f"no objection: {METRIC} ")
            assert f"`model promote {version} --data {path}` makes it the current one" in out
        assert not (tmp_path / "artifacts/log.jsonl").exists()


def test_what_derive_or_the_model_raises_for_a_row_is_told_in_one_line(
    served: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise ZeroDivisionError("of the\nteam's own")

    broken = Simple(predict=failing)
    for where, fake, what in (
        ("model.columns.add_derived", failing, "a derived feature"),
        ("model.engines.loading.Model.load", lambda *_: broken, "the model fails on it"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, fake)
            status, out, err = served("predict", ROWS[0])
        assert (status, out) == (1, "")
        assert err == f"model: row 1: {what}: ZeroDivisionError: of the team's own\n"


def test_a_damaged_version_is_listed_as_such_and_not_promoted(run: Run, tmp_path: Path) -> None:
    train_by_force(run, write_csv(tmp_path / "history.csv", make_history(60)))
    other = write_csv(tmp_path / "other.csv", make_history(60, seed=1))
    version = train_by_force(run, other, "--no-promote")[0].split()[1]
    model, manifest = (Path("artifacts", version, each) for each in (MODEL_FILE, MANIFEST_FILE))
    model.write_bytes(model.read_bytes()[:-1])
    status, _, err = run("promote", version)
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"model: {model}: not the file that was stored")
    manifest.write_text("{}")
    status, out, err = run("versions")
    assert (status, out[:2], len(out.splitlines())) == (0, "* ", 1)
    assert err.startswith(f"model: {manifest}: not the manifest that was stored")


def make_keys(path: Path, name: str) -> tuple[str, str]:
    """The files of a private key and of its public key, as the README makes them."""
    private, public = str(path / f"{name}.pem"), str(path / f"{name}.pub.pem")
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True)


def test_with_keys_only_a_signed_version_is_loaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = write_csv(tmp_path / "history.csv", make_history(60))
    (old, old_public), (new, new_public) = (make_keys(tmp_path, each) for each in ("old", "new"))
    version = train_by_force(run, history)[0].split()[1]
    manifest, signature = (
        str(Path("artifacts", version, each)) for each in (MANIFEST_FILE, SIGNATURE_FILE)
    )
    monkeypatch.setenv("MODEL_VERIFY_KEYS", f"{new_public},{old_public}")
    assert f"{signature}: No such file" in run("predict", ROWS[0])[2]
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", old, "-in", manifest, "-out", signature)
    assert run("predict", ROWS[0])[0] == 0
    Path(signature).unlink()
    assert "MODEL_SIGNING_KEY: is not set" in run("train", "--data", str(history))[2]
    monkeypatch.setenv("MODEL_SIGNING_KEY", old)
    monkeypatch.delenv("MODEL_VERIFY_KEYS")  # which are for where it is loaded
    assert "unchanged" not in train_by_force(run, history)[0]  # the same version, signed
    assert "unchanged" in train_by_force(run, history)[0]
    monkeypatch.setenv("MODEL_VERIFY_KEYS", f"{new_public},{old_public}")
    assert run("predict", ROWS[0])[0] == 0
    monkeypatch.setenv("MODEL_VERIFY_KEYS", new_public)
    monkeypatch.setenv("MODEL_TOKENS", TOKEN)
    for command in (["predict", ROWS[0]], ["promote", version], ["serve"]):
        assert "not signed by any key of MODEL_VERIFY_KEYS" in run(*command)[2]
    with pytest.raises(ModelError, match="not signed"):
        open_model("artifacts")
    assert "belongs to no key of MODEL_VERIFY_KEYS" in run("train", "--data", str(history))[2]
    monkeypatch.setenv("MODEL_SIGNING_KEY", new)
    train_by_force(run, history)
    assert run("predict", ROWS[0])[0] == 0
    Path(new).chmod(0o640)
    assert "other users can read it; `chmod 600 " in run("train", "--data", str(history))[2]
    monkeypatch.setenv("MODEL_SIGNING_KEY", new_public)
    Path(new_public).chmod(0o600)
    assert "holds no Ed25519PrivateKey" in run("train", "--data", str(history))[2]


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE, DIGEST_FILE])
def test_training_again_repairs_a_version(name: str, run: Run, tmp_path: Path) -> None:
    history = write_csv(tmp_path / "history.csv", make_history(60))
    train_by_force(run, history)
    (folder,) = (each for each in (tmp_path / "artifacts").iterdir() if each.is_dir())
    with (folder / name).open("ab") as file:
        file.write(b"x")
    assert "make train" in run("predict", ROWS[0])[2]
    assert "unchanged" not in train_by_force(run, history)[0]
    assert run("predict", ROWS[0])[0] == 0


def test_synthetic_data_are_marked_wherever_a_version_is_shown(run: Run, tmp_path: Path) -> None:
    history = write_csv(tmp_path / "history.csv", make_history(60))
    train_by_force(run, history)
    assert "SYNTHETIC" not in run("show")[1] + run("versions")[1]
    write_provenance(history)
    assert "SYNTHETIC" in train_by_force(run, history)[0]
    assert "SYNTHETIC" in run("show")[1]
    assert ["SYNTHETIC" in line for line in run("versions")[1].splitlines()] == [False, True]
    write_provenance(history, sha256="of the file before an edit")
    out, warning = train_by_force(run, history)
    assert "SYNTHETIC" in out
    assert "changed since: made up" in out
    assert "provenance.json does not describe this history.csv" in warning


def test_a_history_that_is_not_there_is_told_with_where_to_look(run: Run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("It is too large for git.")
    status, _, err = run("train", "--data", str(tmp_path / "history.csv"))
    assert status == 1
    assert err.splitlines()[-1] == (
        f"model: {tmp_path}/history.csv: is not there; {tmp_path}/README.md says what belongs there"
    )


def test_predict_for_rows(served: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = served("predict", ROWS[0])[1]
    Prediction.model_validate_json(alone)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(ROWS)))
    status, out, _ = served("predict", "--version", store.current())
    assert (status, len(out.splitlines())) == (0, len(ROWS))
    assert out.startswith(alone)
    for row in ("{", "{}", ' {"nobody": 1}'):
        status, out, err = served("predict", row)
        assert (status, out) == (1, "")
        assert err.startswith("model: row 1: ")
    for option in (["--overwrite"], ["--output", "out.csv"]):
        assert served("predict", ROWS[0], *option)[0] == 2


def test_predict_for_a_file_of_rows(
    served: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_csv(tmp_path / "rows.csv", make_history(30))
    assert served("predict", "rows.csv") == (0, "", "30 rows predicted in rows.predictions.csv\n")
    assert "rows.predictions.csv: is there already" in served("predict", "rows.csv")[2]
    monkeypatch.setattr(predicting, "PROGRESS_SECONDS", 0)
    with table.open("a") as file:
        file.write("odd\n" * 1000)
    status, out, err = served("predict", "rows.csv", "--overwrite", "--output", "out.csv")
    assert (status, out) == (3, "")
    *lines, last = err.splitlines()
    assert lines[-1].startswith("100%, 1,030 rows, ")
    assert last == "30 rows predicted in out.csv, 1,000 rejected, in out.rejected.csv"
    for name in ("", "[]", "rows", "1" * 5000, "none.csv", "a" * 5000 + ".csv"):
        status, out, err = served("predict", name)
        assert (status, out, err[:7], err.count("\n")) == (1, "", "model: ", 1)


def test_a_job_that_is_interrupted_prints_how_to_go_on(
    served: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> Iterator[Any]:
        yield Simple(place=Simple(row=1020, offset=1))
        raise KeyboardInterrupt

    job = Simple(run=interrupted, size=2)
    monkeypatch.setattr("model.bulk.job.Job", lambda *arguments, **options: job)
    status, _, err = served("predict", "rows.csv")
    assert (status, err.splitlines()) == (
        1,
        [
            "going on after row 1,020",
            "model: rows.csv: stopped; the same command goes on where it was",
        ],
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "fault"),
    [
        (["show"], {}, "make train"),
        (["predict", "{}"], {}, "make train"),
        (["promote", "0" * 12], {}, "no version"),
        (["train", "--data", "none.csv"], {}, "none.csv: No such file"),
        (["serve"], {}, "MODEL_TOKENS"),
        (["serve"], {"MODEL_TOKENS": TOKEN, "MODEL_VERSION": "0" * 12}, "make train"),
        (["serve"], {"MODEL_TOKENS": TOKEN, "MODEL_URL": "library:x"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": TOKEN, "MODEL_URL": "http+unix://"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": TOKEN, "MODEL_URL": "http://x:y"}, "MODEL_URL"),
        (["serve"], {"MODEL_TOKENS": "\u00e9" * 32}, "MODEL_TOKENS: a token is made of"),
        (["serve"], {"MODEL_WORKERS": "0", "MODEL_MAX_BODY": "x"}, "MODEL_WORKERS"),
        (["versions"], {"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    ],
)
def test_what_goes_wrong_is_explained_in_one_line(
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
    (line,) = (line for line in err.splitlines() if not line.startswith("["))
    assert line.startswith("model: ")
    assert fault in line


def test_a_prediction_is_explained_step_by_step(served: Run, store: Store) -> None:
    status, out, err = served("explain", ROWS[0])
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "input"
    assert any(line.startswith("encoded for HistGradientBoosting") for line in lines)
    typical = next(place for place, line in enumerate(lines) if "for a typical row" in line)
    *added, last = lines[typical + 1 :]
    assert last.endswith(f"predicted by version {store.current()}")
    sizes = [abs(float(line.split()[0])) for line in added]
    assert sizes == sorted(sizes, reverse=True)
    total = float(lines[typical].split()[0]) + sum(float(line.split()[0]) for line in added)
    assert total == pytest.approx(float(last.split()[0]), rel=1e-3)
    found = json.loads(served("explain", ROWS[0], "--json", "--version", store.current())[1])
    assert found["version"] == store.current()
    assert found["encoded"]["columns"]
    assert len(added) == len(found["contributions"])


def test_one_row_is_asked_for_by_name(served: Run, store: Store) -> None:
    row = json.loads(ROWS[0])
    words = [f"{name}={cell_of(value)}" for name, value in row.items()]
    status, out, err = served("ask", *words)
    assert (status, err) == (0, "")
    predicted = json.loads(served("predict", ROWS[0])[1])[TARGET.name]
    shown = f"{predicted:.6g}" if isinstance(predicted, float) else str(predicted)
    first, second, *rest = out.splitlines()
    assert (first, second.strip()) == (
        TARGET.name,
        f"{shown}  predicted by version {store.current()}",
    )
    assert "fallback" in rest
    assert all(any(f" {name} " in line for line in rest) for name in row)
    needed = next((each.name for each in INPUTS if not each.optional), None)
    faults = {"nobody=1": "'nobody=1': none of ", "nobody": "'nobody': none of "}
    faults |= {f"{words[0].split('=')[0]}=\n": f"{INPUTS[0].name}: "}
    if needed:
        faults[f"{needed}="] = f"the row: {needed}: "
    for word, fault in faults.items():
        status, out, err = served("ask", word)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert fault in err


def test_the_rows_of_the_compile_gate_come_with_what_scikit_learn_predicts(
    served: Run, store: Store, tmp_path: Path
) -> None:
    write_csv(tmp_path / "rows.csv", make_history(60))
    output = tmp_path / "parity.jsonl"
    assert served("parity", str(output), "--data", "rows.csv")[0] == 0
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert len(rows) > 60
    assert all([*row["features"]] == [each.name for each in FEATURES] for row in rows)
    columns: dict[str, Any] = {
        each.name: [row["features"][each.name] for row in rows] for each in FEATURES
    }
    for each in FEATURES:
        assert not each.optional or None in columns[each.name]
        assert each.kind != "category" or "never seen" in columns[each.name]
        if each.kind == "datetime":
            # As it is, since a split can lie between two microseconds.
            columns[each.name] = np.array(columns[each.name], dtype=np.float64)
    reference = SklearnEngine.load(check_whole(store.folder(), [], MODEL_FILE))
    found, expected = reference.predict(to_arrays(columns)), [row["expected"] for row in rows]
    assert_array_equal(found.values, [each[TARGET.name] for each in expected])
    # How many rows there are at once can change the last bit of a probability.
    numbers = [[*each.get("probabilities", each).values()] for each in expected]
    assert_allclose(found.numbers, numbers, rtol=1e-12)


def test_what_cannot_be_explained_is_one_line(served: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["{}"], ["x"], [ROWS[0], "--version", "0" * 12]):
        status, out, err = served("explain", *command)
        assert (status, out) == (1, "")
        assert len(err.splitlines()) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO(ROWS[0]))
    monkeypatch.setitem(sys.modules, "model.engines.encoding", None)  # as without scikit-learn
    status, out, err = served("explain")
    assert status == 0
    assert "predicted by version" in out
    assert "encoded" not in out
    assert err.startswith("model: not encoded: ")
