"""`bench.py ROWS`: a cluster of two workers, and one process on the same cores, as a line of JSON.

Rates are of what a table takes longer than one of few rows: neither has its start in it. A start
is from that of the driver to the end of a table of one row. What is shipped are the packages that
a worker needs, Spark among them, and the version.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from measuring import files_mb, memory_mb, packages_mb
from support import DISH, LOG, ROOT, many_rows, processes_of, start

from model.artifacts.opening import open_store
from model.settings import load_settings

FEW = 1000


def one_process(source: Path) -> float:
    """Seconds for a table with `model predict`, whose libraries have one thread each."""
    begin = monotonic()
    command = [str(ROOT / "model/.venv/bin/model"), "predict", str(source)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return monotonic() - begin


def cluster_mb(root: int) -> float:
    """Megabytes of a process and all that it has started."""
    total = 0.0
    for process in processes_of(root):
        with suppress(OSError, ValueError):  # it has ended
            total += memory_mb(process)
    return total


def shipped_mb() -> float:
    """Megabytes of the packages and of the version."""
    pins = [ROOT / "model/requirements.txt", DISH / "requirements.txt"]
    version = files_mb(open_store(load_settings()).folder())
    return packages_mb(DISH / ".venv", *pins) + version


def main(rows: int) -> None:
    """Measure, and print. The cluster's JVMs compile during the first tables."""
    os.chdir(ROOT)
    with TemporaryDirectory() as scratch:
        one, few, many = (Path(scratch, f"{count}.parquet") for count in (1, FEW, rows))
        for count, table in {1: one, FEW: few, rows: many}.items():
            many_rows(count, table)
        alone = one_process(many) - one_process(few)
        begin, tables = monotonic(), (one, many, few, few, many, many)
        process = start(*tables, Path(scratch, "output"), options="-XX:+UseSerialGC")
        lines = (line for line in process.stdout or () if line.startswith("{"))
        said = (json.loads(line)["seconds"] for line in lines)
        next(said)
        start_seconds = monotonic() - begin
        seconds = [next(said) for _ in range(4)]
        memory = cluster_mb(process.pid)  # while the last table is predicted
        seconds += said
        assert process.wait() == 0, LOG.read_text("utf-8")[-5000:]
    together = min(seconds[-2:]) - min(seconds[1:3])
    found = {
        "rows_per_second": round((rows - FEW) / together),
        "start_seconds": round(start_seconds, 1),
        "memory_mb": round(memory),
        "shipped_mb": round(shipped_mb()),
        "one_process_rows_per_second": round((rows - FEW) / alone),
        "times": round(alone / together, 2),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
