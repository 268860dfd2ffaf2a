"""What all contestants share: the default project, stamped out and trained; rows and answers."""

import csv
import json
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from contestants import COMPILED, MLFLOW_MODEL, OURS, SKLEARN, STORES, UNCOMPILED, Row
from places import BENCH, HERE, PEERS, PROJECT, TEMPLATE, VENVS
from processes import Failed, do

ROWS = 256
Each = TypeVar("Each")
FILES = {SKLEARN: "model.joblib", COMPILED: "model.onnx"}


def stamp() -> None:
    """Stamp out the default project anew, set up its environments, train both versions."""
    shutil.rmtree(PROJECT, ignore_errors=True)
    tools = Path(sys.executable).parent
    stamp_out: list[str | Path] = [
        tools / "cookiecutter",
        TEMPLATE,
        "--no-input",
        "--default-config",
    ]
    do([*stamp_out, "--output-dir", BENCH], {}, TEMPLATE)
    environments = [f"{each}/.venv/ready" for each in ("service", "model", "deploy")]
    make = ["make", f"UV={tools / 'uv'}", f"PYTHON={sys.executable}", *environments]
    do(make, {"UV_COMPILE_BYTECODE": "1"}, PROJECT)  # as the peers' environments are
    train(OURS)
    train(UNCOMPILED, "--no-compile")
    shutil.rmtree(MLFLOW_MODEL, ignore_errors=True)
    saved = [artifact(SKLEARN), PROJECT / "data/history.csv", MLFLOW_MODEL]
    do([VENVS / "mlflow/bin/python", PEERS / "mlflow/save.py", *saved], {}, BENCH)


def train(name: str, *options: str) -> None:
    """Train one of our versions on the default history, into a store of its own."""
    environment = {"MODEL_STORE": STORES[name]}
    do(["model/.venv/bin/model", "train", *options], environment, PROJECT)


def artifact(kind: str) -> Path:
    """The file that a kind of contestant serves; all serve the same bytes of ours.

    Raises:
        Failed: there is none.
    """
    store = PROJECT / STORES[OURS if kind == COMPILED else UNCOMPILED]
    file = store / (store / "current").read_text().strip() / FILES[kind]
    if not file.exists():
        raise Failed(f"{file.relative_to(PROJECT)}: not there; `model train` should make it")
    return file


@cache
def history() -> list[Row]:
    """The features of every order of the default history."""
    with (PROJECT / "data/history.csv").open(encoding="utf-8") as file:
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
def history_answers() -> list[float]:
    """What scikit-learn itself predicts for them, which every answer is compared with."""
    found: list[float] = inside("reference.py", artifact(SKLEARN), {"rows": history()})
    return found


def rows() -> list[Row]:
    """The rows that every contestant is asked about, spread evenly over the history."""
    return some(history())


def answers() -> list[float]:
    """What scikit-learn itself predicts for these rows."""
    return some(history_answers())


def some(all_of_them: list[Each]) -> list[Each]:
    """ROWS of them, spread evenly."""
    step = len(all_of_them) // ROWS
    return all_of_them[::step][:ROWS]


def inside(script: str, file: Path, question: dict[str, Any]) -> Any:
    """What a script of inside/ answers, run by the project's own interpreter on an artifact."""
    asked = BENCH / "question.json"
    asked.write_text(json.dumps(question))
    python = PROJECT / "model/.venv/bin/python"
    return json.loads(
        do([python, HERE / "inside" / script, file, asked], {"ORT_DISABLE_TELEMETRY": "1"}, PROJECT)
    )
