"""On a real cluster of two workers, each with its own executor and Python processes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from support import (
    LOG,
    ROOT,
    expected_of,
    finish,
    found_in,
    many_rows,
    parity_rows,
    processes_of,
    start,
    table_of,
)

from contract import INPUTS
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import Manifest
from model.compiling.parity import relative_error

ROWS = int(os.environ.get("ROWS", "200000"))
DATE = "date=2026-11-29"


def test_all_parity_rows_are_predicted_and_others_rejected_with_the_reason(
    manifest: Manifest, tmp_path: Path
) -> None:
    rows = parity_rows()
    table, half = table_of(rows), len(rows) // 2
    day, output = tmp_path / DATE, tmp_path / "output"
    day.mkdir()
    parquet.write_table(table[:half], day / "one.parquet")
    parquet.write_table(table[half:], day / "two.parquet")
    required = next(each for each in INPUTS if not each.optional)
    place = table.column_names.index(required.name)
    cells = pa.array([None, *table[required.name].to_pylist()[1:9]], table[required.name].type)
    faulty = table[:9].set_column(place, required.name, cells)
    parquet.write_table(faulty, tmp_path / "faulty.parquet")
    stale = output / f"predicted/version={manifest.version}/{DATE}/part-of-another-run.parquet"
    stale.parent.mkdir(parents=True)
    parquet.write_table(table, stale)

    said = finish(start(day, tmp_path / "faulty.parquet", output))

    found = parquet.read_table(stale.parent, partitioning=None).sort_by("key")
    assert found["key"].to_pylist() == table["key"].to_pylist()
    assert set(found["model_version"].to_pylist()) == {manifest.version}
    error = relative_error(found_in(found, manifest), expected_of(rows, manifest))
    assert error.max() <= TOLERANCE

    counts = [(each["model_version"], each["predicted"], each["rejected"]) for each in said]
    assert counts == [(manifest.version, len(rows), 0), (manifest.version, 8, 1)]
    where = f"version={manifest.version}/table=faulty.parquet"
    assert parquet.read_table(output / "predicted" / where, partitioning=None).num_rows == 8
    (rejected,) = parquet.read_table(output / "rejected" / where, partitioning=None).to_pylist()
    assert rejected["rejected_column"] == required.name
    assert rejected["rejected_reason"] == "is missing a value"
    assert (rejected["file"], rejected["row"], rejected["key"]) == ("faulty.parquet", "1", "0")
    assert rejected[required.name] is None
    assert {each.name for each in INPUTS} <= rejected.keys()


def test_another_run_changes_nothing_even_if_an_executor_is_killed(
    manifest: Manifest, tmp_path: Path
) -> None:
    source, output, events = (tmp_path / name for name in ("rows.parquet", "output", "events"))
    many_rows(ROWS, source)
    events.mkdir()
    command = [str(ROOT / "model/.venv/bin/model"), "predict", str(source)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    expected = parquet.read_table(tmp_path / "rows.predictions.parquet").drop_columns("row")
    where = f"version={manifest.version}/table=rows.parquet"
    conf = {
        "sql.files.maxPartitionBytes": str(source.stat().st_size // 20),  # as many tasks, about
        "sql.files.openCostInBytes": "0",
        "eventLog.enabled": "true",
        "eventLog.dir": events.as_uri(),
        "eventLog.rolling.enabled": "false",
        "eventLog.compress": "false",
    }
    process = start(source, source, output, **conf)

    def wait_for(name: str, kind: str) -> None:
        while not list((output / kind / where).glob(name)):
            assert process.poll() is None, LOG.read_text("utf-8")[-5000:]
            time.sleep(0.001)

    wait_for("_SUCCESS", "rejected")  # which is the end of the first run
    wait_for("_temporary/0/task_*", "predicted")  # a task of the second one is done
    os.kill(executors_of(process.pid)[0], signal.SIGKILL)
    assert not (output / "predicted" / where / "_SUCCESS").exists()
    counts = [(each["predicted"], each["rejected"]) for each in finish(process)]
    assert counts == [(ROWS, 0), (ROWS, 0)]
    found = parquet.read_table(output / "predicted" / where, partitioning=None).sort_by("key")
    assert found.select(expected.column_names).cast(expected.schema).equals(expected)
    (log,) = events.iterdir()
    happened = [json.loads(line)["Event"] for line in log.read_text("utf-8").splitlines()]
    assert "SparkListenerExecutorRemoved" in happened


def executors_of(root: int) -> list[int]:
    """The processes of a cluster that run its tasks."""
    return [
        process
        for process in processes_of(root)
        if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
