"""A job that is killed goes on where it was; what it must not do, it refuses before it writes."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_bulk import NAMES, UNFIT, model, read, run, small, some, write
from test_history import WRONG

from contract import INPUTS
from model.artifacts.store import Store
from model.bulk import job
from model.bulk.job import Job
from model.columns import Columns, add_derived, to_arrays
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.errors import ModelError

__all__ = ["model", "small"]
LEAD = INPUTS[0]
CHILD = """
import os, signal, sys
from model import cli
from model.bulk import job
from model.tables import reading

job.SAVE_SECONDS, reading.BATCH_ROWS = 0, 7
left, sync = int(sys.argv.pop(1)), os.fsync

def kill(file):
    global left
    left -= 1
    left or os.kill(os.getpid(), signal.SIGKILL)
    sync(file)

os.fsync = kill
cli.main()
"""
MEMORY = """
import resource, sys
from pathlib import Path
from model.bulk.job import Job
from model.engines.loading import Model

model = Model.load(Path(sys.argv[1]))
for path in sys.argv[2:]:
    *_, last = Job(model, Path(path)).run()
    print(last.predicted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


class Killed(BaseException):
    """Nothing in the code under test stops it."""


@pytest.fixture
def saving(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows in a batch, and the progress saved after each."""
    monkeypatch.setattr(job, "SAVE_SECONDS", 0)


def faulty(path: Path, rows: int = 40) -> Path:
    """A table in which row 11 is rejected, if there is anything that its first column refuses."""
    table = some(rows)
    unfit: list[Any] = WRONG[LEAD.kind]
    if path.suffix == ".parquet":
        unfit = UNFIT[LEAD.kind] if LEAD.optional else [None]
    table[LEAD.name][10] = [*unfit, True][0]
    return write(path, table)


def both(done: Job) -> list[bytes]:
    """All that a job has written."""
    return [path.read_bytes() for path in (done.output, done.rejects) if path.exists()]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_killed_anywhere_it_goes_on(
    kind: str, model: Model, tmp_path: Path, saving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = faulty(tmp_path / f"rows.{kind}")
    expected = both(run(model, path))
    left = 0

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return call(*arguments)

        return called

    monkeypatch.setattr(os, "fsync", deadly(lambda _: None))  # the disk does not lose power here
    for module, name in ((os, "replace"), (shutil, "rmtree")):
        monkeypatch.setattr(module, name, deadly(getattr(module, name)))
    for moment in range(1, 100):
        for old in tmp_path.glob("rows.*.*"):
            old.unlink()
        left = moment
        try:
            run(model, path)
        except Killed:
            saved = next(Job(model, path).run()).place.row
            assert saved >= min(7 * ((moment - 1) // 4), 35)
            left = 0
            list(Job(model, path).run())
        assert both(Job(model, path, overwrite=True)) == expected
        if left > 0:
            break
    assert moment > 20


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_killed_by_the_system_it_goes_on(
    kind: str, model: Model, store: Store, tmp_path: Path, saving: None
) -> None:
    path = faulty(tmp_path / f"rows.{kind}", rows=100)
    expected = both(run(model, path, tmp_path / f"other.{kind}"))
    for syncs, done in ((9, 14), (10, 35)):
        killed = subprocess.run(
            [sys.executable, "-c", CHILD, str(syncs), "predict", str(path)],
            env={**os.environ, "MODEL_STORE": str(store.path)},
            stderr=subprocess.PIPE,
            check=False,
        )
        assert killed.returncode == -9, killed.stderr
        assert next(Job(model, path).run()).place.row == done
    assert both(run(model, path)) == expected


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_another_table_or_another_version_starts_over(
    kind: str, model: Model, uncompiled_store: Store, tmp_path: Path, saving: None
) -> None:
    path = write(tmp_path / f"rows.{kind}", some(40))
    part = Job(model, path).run()
    assert [next(part).predicted for _ in range(3)] == [0, 7, 14]
    part.close()
    other = Model.load(uncompiled_store.folder())
    assert next(Job(other, path).run()).predicted == 0
    for rows, predicted in ((41, 0), (40, 14)):
        write(path, some(rows))
        assert next(Job(model, path).run()).predicted == predicted
    (stream,) = tmp_path.glob("*.part/rejected.*")
    os.truncate(stream, 0)
    assert next(Job(model, path).run()).predicted == 0
    assert len(read(run(model, path).output)) == 40


@pytest.mark.parametrize("change", [lambda data: data + b"\n", lambda data: data[:-100]])
def test_a_table_that_changes_meanwhile_is_not_finished(
    change: Callable[[bytes], bytes], model: Model, tmp_path: Path, saving: None
) -> None:
    path = write(tmp_path / "rows.csv", some(40))
    done = Job(model, path)
    running = done.run()
    next(running)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError, match="changed while it was read"):
        list(running)
    assert not done.output.exists()


def test_two_at_a_time_are_refused(model: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", some(40))
    first, second = Job(model, path), Job(model, path)
    running = first.run()
    next(running)
    with pytest.raises(ModelError, match="another process"):
        next(second.run())
    assert next(running).predicted == 40
    list(running)
    with pytest.raises(ModelError, match="is there already"):
        Job(model, path)


def test_a_full_disk_is_told_and_gone_on_from(model: Model, tmp_path: Path, saving: None) -> None:
    path = faulty(tmp_path / "rows.csv")
    expected = both(run(model, path, tmp_path / "other.csv"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(ModelError, match="File too large; once") as caught:
            list(Job(model, path).run())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(caught.value).splitlines()) == 1
    assert next(Job(model, path).run()).predicted > 0
    assert both(run(model, path)) == expected


def test_rejected_rows_can_be_corrected_and_predicted(model: Model, tmp_path: Path) -> None:
    path = faulty(tmp_path / "rows.csv")
    done = run(model, path)
    (row,) = read(done.rejects)
    assert (row["row"], row["rejected_column"]) == ("11", LEAD.name)
    assert [each["row"] for each in read(run(model, done.rejects).rejects)] == ["11"]
    whole = run(model, write(tmp_path / "whole.csv", some(40)))
    row[LEAD.name] = read(tmp_path / "whole.csv")[10][LEAD.name]
    again = write(done.rejects, {name: [cell] for name, cell in row.items()})
    (corrected,) = read(run(model, again).output)
    expected = read(whole.output)[10]
    assert [*corrected] == [*expected]
    assert (corrected["row"], corrected["id"]) == (expected["row"], expected["id"])
    write(path, some(40))
    assert not run(model, path).rejects.exists()  # they would be taken for those of this run


def test_only_the_row_at_which_the_model_fails_is_rejected(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some(40)
    for name in NAMES:
        rows[name][20:22] = rows[name][20:21] * 2
    predict = model.predict
    arrays = to_arrays(add_derived({name: rows[name] for name in NAMES}))
    bad = repr([arrays[name][20] for name in NAMES])

    def choke(columns: Columns) -> Predictions:
        for row in zip(*(columns[name] for name in NAMES), strict=True):
            if repr([*row]) == bad:
                raise ValueError("two\nlines")
        return predict(columns)

    monkeypatch.setattr(model, "predict", choke)
    done = run(model, write(tmp_path / "rows.csv", rows))
    rejected = read(done.rejects)
    assert {"21", "22"} <= {each["row"] for each in rejected}
    for each in rejected:
        assert all(each[name] == rejected[0][name] for name in NAMES)
        assert each["rejected_reason"] == "the model fails on it: two lines"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_table(kind: str, store: Store, tmp_path: Path) -> None:
    few, many = tmp_path / f"few.{kind}", tmp_path / f"many.{kind}"
    rows = some(1000)
    rows["id"] = [f"{row}," * 250 for row in range(1000)]  # about a kilobyte
    part = write(tmp_path / f"rows.{kind}", rows)
    for path, times in ((few, 20), (many, 200)):
        if kind == "csv":
            head, *lines = part.read_bytes().splitlines(keepends=True)
            path.write_bytes(head + b"".join(lines) * times)
        else:  # one row group, as large as the file
            table = pa.concat_tables([pq.read_table(part)] * times)
            pq.write_table(table, path, compression="none", use_dictionary=False)
    more = (many.stat().st_size - few.stat().st_size) / 2**20
    # A process counts the memory of the one that started it as its own: let that be a small one.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-c", MEMORY, *map(str, (store.folder(), few, many))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (_, before), (predicted, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert predicted == 200_000
    assert after - before < more / 4, "MiB"
