"""The same history makes the same version, in whatever process."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import make_history, write_csv

TRAIN = """
import sys
from pathlib import Path
from model.training.history import read_history
from model.training.trainer import train
print(train(read_history(Path(sys.argv[1])))[0].version)
"""


def test_every_process_makes_the_same_version_of_a_history(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(60))
    versions = {
        subprocess.run(
            [sys.executable, "-c", TRAIN, path],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "5")  # by which the set of a graph's domains is ordered in either way
    }
    assert len(versions) == 1
