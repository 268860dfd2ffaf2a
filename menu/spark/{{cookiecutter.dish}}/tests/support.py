"""Tables of the parity rows, and a Spark cluster of two workers on this machine."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from contract import INPUTS, TARGET
from model.artifacts.manifest import Manifest
from model.engines.predictions import Predictions

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
LOG = DISH / "build/spark.log"
CLUSTER = "local-cluster[2,1,1024]"
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For JVMs that live for seconds, as those of the tests do."""
TYPES = {
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "category": pa.string(),
    "datetime": pa.timestamp("us", "UTC"),
}


def parity_rows() -> list[dict[str, Any]]:
    """The rows of the compile gate; not those whose moments no table holds: it has microseconds."""
    lines = (DISH / "build/parity.jsonl").read_text("utf-8").splitlines()
    return [row for row in map(json.loads, lines) if all(map(_is_whole, _moments(row)))]


def _moments(row: dict[str, Any]) -> list[float]:
    values = [row["features"][each.name] for each in INPUTS if each.kind == "datetime"]
    return [value for value in values if value is not None]


def _is_whole(seconds: float) -> bool:
    return datetime.fromtimestamp(seconds, UTC).timestamp() == seconds


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """The inputs of these rows, and a column `key` with the number of each."""
    columns: dict[str, pa.Array] = {"key": pa.array(range(len(rows)), pa.int64())}
    for each in INPUTS:
        values = [row["features"][each.name] for row in rows]
        if each.kind == "datetime":
            values = [it if it is None else datetime.fromtimestamp(it, UTC) for it in values]
        columns[each.name] = pa.array(values, TYPES[each.kind])
    return pa.table(columns)


def many_rows(count: int, path: Path) -> None:
    """Write so many rows, which repeat the parity rows."""
    table = table_of(parity_rows()).drop_columns("key")
    repeated = table.take(pa.array(np.arange(count) % table.num_rows))
    numbered = repeated.append_column("key", pa.array(np.arange(count)))
    parquet.write_table(numbered, path, row_group_size=max(count // 40, 1))


def expected_of(rows: list[dict[str, Any]], manifest: Manifest) -> Predictions:
    """What scikit-learn predicts of them."""
    values = [row["expected"][TARGET.name] for row in rows]
    kind = object if TARGET.kind == "category" else None
    if not manifest.classes:
        return Predictions(np.array(values))
    shares = [[row["expected"]["probabilities"][it] for it in manifest.classes] for row in rows]
    return Predictions(np.array(values, kind), manifest.classes, np.array(shares))


def found_in(table: pa.Table, manifest: Manifest) -> Predictions:
    """The predictions in a table."""
    values = table[f"expected_{TARGET.name}"].to_numpy()
    if not manifest.classes:
        return Predictions(values)
    shares = [table[f"probability_{name}"].to_numpy() for name in manifest.classes]
    return Predictions(values, manifest.classes, np.stack(shares, axis=1))


def start(*arguments: object, options: str = BRIEF, **conf: str) -> subprocess.Popen[str]:
    """Start the batch on a cluster; it prints to a pipe."""
    conf |= {f"{each}.extraJavaOptions": options for each in ("driver", "executor")}
    confs = [f"--conf=spark.{name}={value}" for name, value in conf.items()]
    command = [DISH / ".venv/bin/spark-submit", "--master", CLUSTER, *confs, DISH / "batch.py"]
    python = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [str(each) for each in (*command, *arguments)],
            cwd=ROOT,
            env={**os.environ, **python},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for it; what it says of each table."""
    out, _ = process.communicate()
    assert process.returncode == 0, out or LOG.read_text("utf-8")[-5000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def processes_of(root: int) -> list[int]:
    """A process and all that it has started."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found
