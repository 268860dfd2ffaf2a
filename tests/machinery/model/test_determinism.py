"""The same history makes the same version, in whatever process."""

from pathlib import Path

from conftest import make_history, write_csv
from test_process import run

TRAIN = """
from pathlib import Path
from model.training.history import read_history
from model.training.trainer import train
print(json.dumps(train(read_history(Path(sys.argv[1])))[0].version))
"""


def test_every_process_makes_the_same_version_of_a_history(tmp_path: Path) -> None:
    path = str(write_csv(tmp_path / "history.csv", make_history(60)))
    # The seed is of Python's hashes, by which sets are ordered.
    versions = {run(TRAIN, path, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}
    assert len(versions) == 1
