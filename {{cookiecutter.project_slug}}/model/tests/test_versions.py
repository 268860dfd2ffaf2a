"""The life of versions by the command: judged, promoted, rolled back, compared, moved."""

import json
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, build_small, make_history, train, train_by_force, write_csv

from contract import TARGET
from model.artifacts.log import LOG_FILE
from model.artifacts.manifest import METRIC, MODEL_FILE
from model.artifacts.store import Store
from model.engines.predictions import most_probable
from model.errors import ModelError
from model.training.diff import rows as diff_rows

Known = tuple[str, str]


@pytest.fixture
def history(tmp_path: Path) -> str:
    return str(write_csv(tmp_path / "history.csv", make_history(300)))


@pytest.fixture
def two(run: Run, history: str, monkeypatch: pytest.MonkeyPatch) -> Known:
    """A version that knows little, which is current, and a better one."""
    with monkeypatch.context() as patch:
        weak = partial(train, build=lambda: build_small().set_params(estimator__max_iter=1))
        patch.setattr("model.training.trainer.train", weak)
        train_by_force(run, Path(history))
    train_by_force(run, Path(history), "--no-promote")
    versions = json.loads(run("versions", "--json")[1])
    weak_one, good_one = (each["version"] for each in versions["versions"])
    assert versions["current"] == weak_one
    return weak_one, good_one


@pytest.mark.slow
def test_a_better_version_is_promoted_and_rolled_back(run: Run, history: str, two: Known) -> None:
    weak, good = two
    for _ in range(2):  # the second time it is current already, and nothing to go back to
        assert run("promote", good, "--data", history)[:2] == (0, f"current: {good}\n")
    status, _, err = run("promote", weak, "--data", history)
    assert status == 1
    assert f"not shown to be better than the current version {good} on " in err
    assert run("rollback", "--reason", "tried")[:2] == (0, f"current: {weak}\n")
    assert "no version before" in run("rollback")[2]
    lines = run("history")[1].splitlines()
    assert [line.split()[2:4] for line in lines] == [
        [weak, "promote"],
        [good, "promote"],
        [good, "promote"],
        [weak, "rollback"],
    ]
    assert "by force" in lines[0]
    assert lines[-1].endswith(" tried")
    assert run("versions")[1].startswith(f"* {weak}")


def test_what_was_current_when_is_known(run: Run, two: Known, tmp_path: Path) -> None:
    weak, good = two
    store = Store(tmp_path / "artifacts")
    (first,) = store.history()
    store.promote(good, "better")
    second = store.history()[1]
    before = (first.time - timedelta(seconds=1)).isoformat()
    assert run("history", "--at", before)[2] == f"model: no version was current at {before}\n"
    assert weak in run("history", "--at", first.time.isoformat())[1]
    assert good in run("history", "--at", second.time.isoformat())[1]
    assert run("history", "--at", "yesterday")[0] == 2


def test_a_log_that_was_not_written_to_its_end_counts_as_far_as_it_goes(
    run: Run,
    two: Known,
    tmp_path: Path,
) -> None:
    weak, good = two
    store = Store(tmp_path / "artifacts")
    with (store.path / LOG_FILE).open("a") as log:
        log.write('{"time": "2026-')
    assert store.current() == weak
    store.promote(good)
    assert store.current() == good
    assert len(store.history()) == 2


def test_two_versions_are_compared_and_age(
    run: Run, history: str, two: Known, tmp_path: Path
) -> None:
    weak, good = two
    status, out, _ = run("diff", weak, good, "--data", history)
    assert status == 0
    head, *lines = out.splitlines()
    assert head.split() == [weak, good]
    assert any(METRIC in line for line in lines)
    assert sum("  row " in line for line in lines) == 10
    assert json.loads(run("versions", "--json", "--data", history)[1])["aging"] == []
    rows = make_history(60, seed=1)
    if TARGET.kind == "float":
        rows.targets[0] = 1e12  # which cannot be true, and tells nothing either
    later = write_csv(tmp_path / "later.csv", rows)
    with later.open("a", encoding="utf-8") as file:  # what they were trained on tells nothing
        file.writelines(Path(history).read_text("utf-8").splitlines(keepends=True)[1:])
    known = json.loads(run("versions", "--json", "--data", str(later))[1])
    by_version = {each["version"]: each for each in known["aging"]}
    # All but those that one of the past is equal to.
    assert 50 < by_version[weak]["rows"] == by_version[good]["rows"] <= 60
    assert by_version[good]["error"] <= by_version[weak]["high"] < 1e6
    assert by_version[good]["beside"] == {weak: by_version[weak]["error"]}


def test_predictions_of_other_classes_are_compared_by_name() -> None:
    one = most_probable(np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]]), ["a", "b"])
    other = most_probable(np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]]), ["b", "c"])
    names = [name.partition(":")[0] for name, *_ in diff_rows(one, other, make_history(3))]
    assert names == ["row 1", "row 2"]  # as for the third they agree


def test_a_store_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / ("x" * 300))
    for look in (store.history, lambda: store.folder("0" * 12)):
        with pytest.raises(ModelError, match="File name too long"):
            look()


def test_versions_are_copied_between_stores(run: Run, two: Known, tmp_path: Path) -> None:
    weak, good = two
    other = tmp_path / "other"
    assert "copied to other" in run("push", "other")[1]
    assert "was there already, in other" in run("push", "other", weak)[1]
    assert "no current version" in run("pull", "other")[2]
    Store(other).promote(weak)
    assert "was there already" in run("pull", "other")[1]
    (Store(Path("artifacts")).folder(good) / MODEL_FILE).write_bytes(b"damaged")
    assert "not the file that was stored" in run("push", "other", good)[2]
    assert [each.version for each in Store(other).versions()[0]] == [weak]
