"""The recipes of a project's own README, followed to the letter."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_projects import environment, on_the_bench

Stamp = Callable[..., Path]
pytestmark = pytest.mark.slow


def edit(path: Path, old: str, new: str) -> None:
    """Put the new text in the place of the old, which must be there."""
    text = path.read_text("utf-8")
    assert old in text, path
    path.write_text(text.replace(old, new), "utf-8")


def test_a_derived_feature_is_added(stamp: Stamp, tmp_path: Path) -> None:
    project = on_the_bench(stamp(tmp_path))
    recipe = (project / "README.md").read_text("utf-8")
    for place in ("features.py", "NUMBERS", "data/history.csv", "examples.json", "make golden"):
        assert place in recipe
    edit(
        project / "service/src/service/features.py",
        "        items=new.items,\n",
        "        items=new.items,\n        load=new.items * new.distance,\n",
    )
    edit(
        project / "contract/src/contract/features.py",
        '    """Items."""\n',
        '    """Items."""\n\n    load: Float\n    """Items times distance."""\n',
    )
    edit(
        project / "model/src/model/pipeline.py",
        '    "items",\n',
        '    "items",\n    "load",\n',
    )
    history = project / "data/history.csv"
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))[:2000]
    with history.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "load"], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            load = float(row["items"]) * float(row["distance"])
            writer.writerow({**row, "load": load})
    examples = project / "contract/src/contract/examples.json"
    told = json.loads(examples.read_text("utf-8"))
    for row in told:
        row["load"] = row["items"] * row["distance"]
    examples.write_text(json.dumps(told), "utf-8")

    for command in (
        "make golden train demo",
        "make --silent contract/.venv/ready && cd contract && .venv/bin/pytest",
        "cd service && .venv/bin/pytest tests/test_api.py tests/test_document.py",
        "cd model && .venv/bin/pytest tests/test_training.py tests/test_server.py",
    ):
        done = subprocess.run(
            command,
            shell=True,
            cwd=project,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "pinned" in done.stdout or "passed" in done.stdout
    assert len(list((project / "contract/src/contract/golden").iterdir())) == 2
