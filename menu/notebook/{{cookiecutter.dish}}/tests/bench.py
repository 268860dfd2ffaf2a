"""`make bench`: predictions as in notebook.py, in Python processes of their own, as a line of JSON.

A start ends with the first prediction. Many rows are the whole history at once. What is called
`pipeline_…` is of scikit-learn's own pipeline, all else of the version that serves.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from measuring import ROOT, STARTS, calls_of, memory_mb, packages_mb, show

from model.artifacts.manifest import MODEL_FILE
from model.artifacts.opening import open_store
from model.artifacts.verification import check_whole, verify
from model.columns import Columns, row_count, to_arrays
from model.engines.loading import Model, self_test_rows
from model.engines.sklearn import SklearnEngine
from model.settings import load_settings
from model.training.history import read_history

SECONDS = 1


def main() -> None:
    found = [measured() for _ in range(STARTS)]
    numbers = {name: median(each[name] for each in found) for name in found[0]}
    show({**numbers, "shipped_mb": packages_mb(Path(sys.prefix))})


def measured() -> dict[str, float]:
    """What a new process tells, and how long it took to predict its first row."""
    begin = time.perf_counter()
    command = [sys.executable, __file__, "process"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        start_seconds = time.perf_counter() - begin
        return {"start_seconds": start_seconds, **json.loads(process.stdout.read())}


def process() -> None:
    """Print a line at the first prediction, then the numbers of this process."""
    settings = load_settings()
    folder, keys = open_store(settings).folder(), settings.model_verify_keys
    artifact = verify(folder, keys)
    version = Model.of(artifact)
    reference = SklearnEngine.load(check_whole(folder, keys, MODEL_FILE))
    row = {name: values[:1] for name, values in self_test_rows(artifact.manifest).items()}
    version.predict(row)
    print("predicted", flush=True)

    history = read_history(Path("data/history.csv")).columns

    def by_pipeline(columns: Columns) -> object:
        return reference.predict(to_arrays(columns))

    numbers = {
        **rates(version.predict, row, history),
        **{f"pipeline_{name}": it for name, it in rates(by_pipeline, row, history).items()},
        "memory_mb": memory_mb(),
    }
    print(json.dumps(numbers))


def rates(
    predict: Callable[[Columns], object], row: Columns, history: Columns
) -> Mapping[str, float]:
    """How long one row takes, and how many a second there are of the history."""
    alone, whole = (calls_of(partial(predict, rows), SECONDS) for rows in (row, history))
    return {
        "one_row_ms": 1000 * median(alone),
        "rows_per_second": row_count(history) / median(whole),
    }


if __name__ == "__main__":
    os.chdir(ROOT)
    process() if sys.argv[1:] else main()
