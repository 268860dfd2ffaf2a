"""`bench.py ROWS`: rows/s of a cluster of two workers, and of one process, as a line of JSON."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from support import ROOT, finish, many_rows, start

FEW = 1000
"""Rows that take no time; a process that predicts them shows what its start takes."""


def one_process(rows: int, folder: Path) -> float:
    """Seconds for so many rows with `model predict`."""
    source = folder / f"{rows}.parquet"
    many_rows(rows, source)
    begin = monotonic()
    command = [str(ROOT / "model/.venv/bin/model"), "predict", str(source)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return monotonic() - begin


def main(rows: int) -> None:
    """Measure. The cluster predicts a table four times: its JVMs compile during the first."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        alone = one_process(rows, folder) - one_process(FEW, folder)
        begin = monotonic()
        tables = [folder / f"{rows}.parquet"] * 4
        runs = finish(start(*tables, folder / "output", options="-XX:+UseSerialGC"))
        whole = monotonic() - begin
    first, *others = (each["seconds"] for each in runs)
    print(
        json.dumps(
            {
                "rows": rows,
                "one_process_rows_per_second": round(rows / alone),
                "two_workers_rows_per_second": round(rows / min(others)),
                "times": round(alone / min(others), 2),
                "two_workers_first_table_seconds": first,
                "start_and_stop_seconds": round(whole - sum(others) - first, 1),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
