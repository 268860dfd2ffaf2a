"""A new input reaches contract, table, training and predictions by one command."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

from conftest import EXAMPLES, ROOT, TARGET

NEW = "unheard_of"
ROWS = 300
LEFT_OUT = shutil.ignore_patterns(".*", "build", "run", "var")


def test_a_new_input_is_learnt_from_and_predicted_for(tmp_path: Path) -> None:
    project = Path(shutil.copytree(ROOT, tmp_path / "project", ignore=LEFT_OUT))
    units = ("contract", "service", "model")
    for folder in ("", *units):
        (project / folder / ".venv").symlink_to(ROOT / folder / ".venv")
    # The environments have the packages of this project, and these are to go before.
    path = os.pathsep.join(str(project / unit / "src") for unit in units)
    settings = {**os.environ, "PYTHONPATH": path, "MODEL_STORE": str(tmp_path / "store")}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=project, env=settings, check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode()

    run("service/.venv/bin/python", "dev/field.py", f"{NEW}:float?")
    with (ROOT / "data/history.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with (project / "data/history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, NEW])
        writer.writerows([*row, at] for at, row in enumerate(rows[-ROWS:]))
    run("model/.venv/bin/model", "train", "--force")
    known = json.loads(run("model/.venv/bin/model", "show", "--json"))
    assert known["features"][NEW] == "float?"
    inputs = {name: value for name, value in EXAMPLES[0].items() if name != TARGET}
    for more in ({NEW: 1.5}, {}):
        told = json.loads(run("model/.venv/bin/model", "predict", json.dumps(inputs | more)))
        assert told[TARGET] is not None
