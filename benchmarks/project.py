"""The default project, stamped out and trained, whose model and history all servers share."""

import csv
import json
import os
import shutil
import sys
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from paths import BENCHMARKS, BUILD, PEERS, PROJECT, TEMPLATE, VENVS
from processes import Failed, run_command
from servers import COMPILED, MLFLOW_MODEL, MODEL_FILES, OURS, SKLEARN, STORES, UNCOMPILED, Row

MODEL = PROJECT / "model/.venv/bin/model"
HISTORY = PROJECT / "data/history.csv"
SAMPLE_ROWS = 256
T = TypeVar("T")


def stamp_out() -> None:
    """Stamp out the default project anew, set up its environments, train both versions."""
    shutil.rmtree(PROJECT, ignore_errors=True)
    tools = Path(sys.executable).parent
    stamp = [str(tools / "cookiecutter"), "--no-input", "--default-config"]
    run_command(*stamp, "--output-dir", BUILD, TEMPLATE)
    make = ["make", f"UV={tools / 'uv'}", f"PYTHON={sys.executable}"]
    environments = [f"{unit}/.venv/ready" for unit in ("service", "model", "dev")]
    compiled = {**os.environ, "UV_COMPILE_BYTECODE": "1"}  # as in the peers' environments
    run_command(*make, *environments, environment=compiled, cwd=PROJECT)
    for name, options in {OURS: (), UNCOMPILED: ("--no-compile",)}.items():
        store = {**os.environ, "MODEL_STORE": STORES[name]}
        run_command(MODEL, "train", *options, environment=store, cwd=PROJECT)
    shutil.rmtree(MLFLOW_MODEL, ignore_errors=True)
    python, script = VENVS / "mlflow/bin/python", PEERS / "mlflow/save.py"
    run_command(python, script, model_file(SKLEARN), HISTORY, MLFLOW_MODEL)


def model_file(model: str) -> Path:
    """The file with the SKLEARN or the COMPILED model, of which every server gets the same bytes.

    Raises:
        Failed: there is none.
    """
    store = PROJECT / STORES[OURS if model == COMPILED else UNCOMPILED]
    log = (store / "log.jsonl").read_text("utf-8")
    version: str = json.loads(log.splitlines()[-1])["to"]
    file = store / version / MODEL_FILES[model]
    if not file.exists():
        raise Failed(f"{file.relative_to(PROJECT)}: missing; `model train` should write it")
    return file


@cache
def history() -> list[Row]:
    """The features of every order of the default history."""
    with HISTORY.open(encoding="utf-8") as file:
        return [
            {
                "hour": float(row["hour"]),
                "day": row["day"],
                "distance": float(row["distance"]),
                "items": int(row["items"]),
            }
            for row in csv.DictReader(file)
        ]


@cache
def history_predictions() -> list[float]:
    """What scikit-learn itself predicts for them, with which every prediction is compared."""
    return list(run_script("sklearn_predictions.py", model_file(SKLEARN)))


def sample(values: list[T]) -> list[T]:
    """SAMPLE_ROWS of the history's rows or predictions, spread evenly: what servers are sent."""
    return values[:: len(values) // SAMPLE_ROWS][:SAMPLE_ROWS]


def repeated(values: list[T], count: int) -> list[T]:
    """The values again and again, until there are so many."""
    return list(islice(cycle(values), count))


def run_script(script: str, file: Path, *arguments: str) -> Any:
    """The JSON that a script of project_scripts/ prints about a model's file and the history."""
    command = [MODEL.with_name("python"), BENCHMARKS / "project_scripts" / script]
    without_telemetry = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    return json.loads(
        run_command(*command, file, HISTORY, *arguments, environment=without_telemetry)
    )
