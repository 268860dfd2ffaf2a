"""`make bench`: a program on this machine, its size on a Cortex-M4; a line of JSON."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

from programs import (
    BARE,
    CORTEX_M4,
    QEMU,
    Rows,
    bytes_on_cortex_m4,
    compile_program,
    parity_rows,
    predicted,
    run_program,
)

HERE = ["gcc", "-O2"]
STARTS = 3


def start_seconds(folder: Path) -> float:
    """From the start of a process to the end of it, which predicts one row."""
    start = time.perf_counter()
    run_program(folder)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = parity_rows(folder)
        compile_program(folder, Rows(rows), HERE, "bench.c")
        one_row_ms = median(map(float, run_program(folder)))
        compile_program(folder, Rows(rows[:1]), HERE)
        starts = [start_seconds(folder) for _ in range(STARTS)]
        flash, ram = bytes_on_cortex_m4(folder)
        _, stack = predicted(folder, Rows(rows), [*CORTEX_M4, *BARE], *QEMU)
    found = {
        "one_row_ms": round(one_row_ms, 6),
        "rows_per_second": round(1000 / one_row_ms),
        "start_seconds": round(median(starts), 5),
        "memory_mb": (ram + stack) / 1e6,
        "shipped_mb": flash / 1e6,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
