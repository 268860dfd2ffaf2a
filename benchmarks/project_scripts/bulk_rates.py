"""Run by the model's own Python, in the project: `model predict` of a Parquet file of many rows.

Prints JSON: the milliseconds of a command for one row; rows a second, the start included; seconds
for a file of one row; megabytes, resident, at most.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.csv
import pyarrow.parquet
from measuring import serving_mb, show

from contract import INPUTS, golden


def main(rows: int) -> dict[str, float]:
    """Measure it."""
    history = pyarrow.csv.read_csv("data/history.csv")
    with TemporaryDirectory() as folder:
        many, one = Path(folder, "many.parquet"), Path(folder, "one.parquet")
        times = -(-rows // history.num_rows)
        pyarrow.parquet.write_table(pyarrow.concat_tables([history] * times)[:rows], many)
        pyarrow.parquet.write_table(history[:1], one)
        first = golden()[-1].features[0]
        row = json.dumps({each.name: first[each.name] for each in INPUTS})
        return {
            "one_row_ms": 1000 * seconds_of("predict", row),
            "start_seconds": seconds_of("predict", str(one)),
            "rows_per_second": rows / seconds_of("predict", str(many)),
            "memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,
            "shipped_mb": serving_mb(),
        }


def seconds_of(*arguments: str) -> float:
    """What a command of `model` takes."""
    start = time.perf_counter()
    command = ["model/.venv/bin/model", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    show(main(int(sys.argv[1])))
