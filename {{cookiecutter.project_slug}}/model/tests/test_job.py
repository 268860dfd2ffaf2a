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
from conftest import cell_of, make_history
from test_bulk import NAMES, UNFIT, read, run, some, write
from test_history import WRONG

from contract import FEATURES
from model.answer import Answer, Columns, arrays_of
from model.bulk import csv_table, job, parquet_table
from model.bulk.job import Job
from model.engine import Engine
from model.errors import ModelError
from model.store import Store

LEAD = FEATURES[0]
CHILD = """
import os, signal, sys
from model import cli
from model.bulk import csv_table, job, parquet_table

job.SAVE_EVERY = 0
for module in (csv_table, parquet_table, job):
    module.ROWS = 7
left, sync = int(sys.argv.pop(1)), os.fsync

def kill(file):
    global left
    left -= 1
    left or os.kill(os.getpid(), signal.SIGKILL)
    sync(file)

os.fsync = kill
cli.main()
"""


class Killed(BaseException):
    """Nothing in the code under test stops it."""


@pytest.fixture
def engine(store: Store) -> Engine:
    """What predicts."""
    return Engine.load(store.folder())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of few rows, after each of which the progress is kept."""
    monkeypatch.setattr(job, "SAVE_EVERY", 0)
    for module in (csv_table, parquet_table, job):
        monkeypatch.setattr(module, "ROWS", 7)


def faulty(path: Path, rows: int = 40) -> Path:
    """A table in which row 11 is set aside, if there is anything that its first column refuses."""
    table = some(rows)
    unfit: list[Any] = WRONG[LEAD.datatype]
    if path.suffix == ".parquet":
        unfit = UNFIT[LEAD.datatype] if LEAD.optional else [None]
    table[LEAD.name][10:11] = unfit[:1] or [True]
    return write(path, table)


def both(done: Job) -> list[bytes]:
    """All that a job has written."""
    return [path.read_bytes() for path in (done.output, done.rejects) if path.exists()]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_killed_anywhere_it_goes_on(
    kind: str, engine: Engine, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = faulty(tmp_path / f"rows.{kind}")
    expected = both(run(engine, path))
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
        for old in (
            path.with_name(f"rows.predictions.{kind}"),
            path.with_name("rows.rejected.csv"),
        ):
            old.unlink(missing_ok=True)
        left = moment
        try:
            run(engine, path)
        except Killed:
            first, *_ = Job(engine, path).run()
            assert first.place.row >= min(7 * ((moment - 1) // 4), 35)
        assert both(Job(engine, path, overwrite=True)) == expected
        if left > 0:
            break
    assert moment > 20


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_killed_by_the_system_it_goes_on(
    kind: str, engine: Engine, store: Store, tmp_path: Path, small: None
) -> None:
    path = faulty(tmp_path / f"rows.{kind}", rows=100)
    expected = both(run(engine, path, tmp_path / f"other.{kind}"))
    for syncs, done in ((9, 14), (10, 35)):
        killed = subprocess.run(
            [sys.executable, "-c", CHILD, str(syncs), "predict", str(path)],
            env={**os.environ, "MODEL_STORE": str(store.path)},
            stderr=subprocess.PIPE,
            check=False,
        )
        assert killed.returncode == -9, killed.stderr
        assert next(Job(engine, path).run()).place.row == done
    assert both(run(engine, path)) == expected


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_another_table_or_another_version_starts_over(
    kind: str, engine: Engine, uncompiled_store: Store, tmp_path: Path, small: None
) -> None:
    path = write(tmp_path / f"rows.{kind}", some(40))
    part = Job(engine, path).run()
    assert [next(part).predicted for _ in range(3)] == [0, 7, 14]
    part.close()
    other = Engine.load(uncompiled_store.folder())
    assert next(Job(other, path).run()).predicted == 0
    assert next(Job(engine, path).run()).predicted == 14
    os.truncate(tmp_path / f"rows.predictions.{kind}.part" / "rejected.csv", 0)
    assert next(Job(engine, path).run()).predicted == 0
    write(path, some(41))
    assert next(Job(engine, path).run()).predicted == 0
    assert len(read(run(engine, path).output)) == 41


def test_a_table_that_changes_meanwhile_is_not_finished(
    engine: Engine, tmp_path: Path, small: None
) -> None:
    path = write(tmp_path / "rows.csv", some(40))
    done = Job(engine, path)
    running = done.run()
    next(running)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ModelError, match="changed while it was read"):
        list(running)
    assert not done.output.exists()


def test_two_at_a_time_are_refused(engine: Engine, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", some(40))
    first, second = Job(engine, path), Job(engine, path)
    running = first.run()
    next(running)
    with pytest.raises(ModelError, match="another process"):
        next(second.run())
    assert next(running).predicted == 40
    list(running)
    with pytest.raises(ModelError, match="is there already"):
        Job(engine, path)


def test_a_full_disk_is_told_and_gone_on_from(engine: Engine, tmp_path: Path, small: None) -> None:
    path = faulty(tmp_path / "rows.csv")
    expected = both(run(engine, path, tmp_path / "other.csv"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ModelError, match="File too large; once") as caught:
            list(Job(engine, path).run())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(caught.value).splitlines()) == 1
    done = Job(engine, path)
    assert next(done.run()).predicted > 0
    assert both(run(engine, path)) == expected


def test_what_was_set_aside_can_be_put_right(engine: Engine, tmp_path: Path) -> None:
    path = faulty(tmp_path / "rows.csv")
    done = run(engine, path)
    (told,) = read(done.rejects)
    assert (told["row"], told["rejected_column"]) == ("11", LEAD.name)
    told[LEAD.name] = cell_of(make_history(40).columns[LEAD.name][10])
    again = write(done.rejects, {name: [cell] for name, cell in told.items()})
    (put_right,) = read(run(engine, again).output)
    whole = run(engine, write(path, some(40)))
    expected = read(whole.output)[10]
    assert [*put_right] == [*expected]
    assert (put_right["row"], put_right["id"]) == (expected["row"], expected["id"])
    assert not whole.rejects.exists()  # those of the run before would be taken for its own


def test_only_the_row_that_the_engine_cannot_take_is_set_aside(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some(40)
    path = write(tmp_path / "rows.csv", rows)
    told = read(run(engine, path).output)
    seen = arrays_of(rows)
    kinds = [repr([seen[name][row] for name in NAMES]) for row in range(40)]
    bad = {str(row + 1) for row in range(40) if kinds[row] == kinds[20]}
    predict = engine.predict

    def choke(columns: Columns) -> Answer:
        for row in zip(*(columns[name] for name in NAMES), strict=True):
            if repr([*row]) == kinds[20]:
                raise ValueError("two\nlines")
        return predict(columns)

    monkeypatch.setattr(engine, "predict", choke)
    done = run(engine, path)
    assert {each["row"] for each in read(done.output)} == {each["row"] for each in told} - bad
    assert {each["row"] for each in read(done.rejects)} == bad
    assert {each["rejected_reason"] for each in read(done.rejects)} == {
        "the model fails on it: two lines"
    }


MEMORY = """
import resource, sys
from pathlib import Path
from model.bulk import results
from model.bulk.job import Job
from model.engine import Engine

results.GROUP = 10_000

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

engine = Engine.load(Path(sys.argv[1]))
sizes = []
for path in sys.argv[2:]:
    for progress in Job(engine, Path(path)).run():
        pass
    sizes.append(peak())
print(progress.predicted, *sizes)
"""


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_table(kind: str, store: Store, tmp_path: Path) -> None:
    few, many = (tmp_path / f"{name}.{kind}" for name in ("few", "many"))
    rows = write(tmp_path / f"rows.{kind}", some(1000))
    for path, times in ((few, 30), (many, 300)):
        if kind == "csv":
            head, *lines = rows.read_bytes().splitlines(keepends=True)
            path.write_bytes(head + b"".join(lines) * times)
        else:
            pq.write_table(pa.concat_tables([pq.read_table(rows)] * times), path)
    # A process counts the memory of the one that started it as its own: let that be a small one.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-c", MEMORY, *map(str, (store.folder(), few, many))]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout
    predicted, before, after = map(float, said.split())
    assert predicted == 300_000
    assert after - before < 10, "MiB"
