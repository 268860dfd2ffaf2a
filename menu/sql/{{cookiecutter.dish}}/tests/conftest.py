"""The rows of the compile gate, and the SQL of the current version."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
MODEL = ROOT / "model/.venv/bin/model"
TABLE = os.environ.get("TABLE", "")


class Model:
    """The current version.

    Attributes:
        version: its name.
        kinds: of the features and of the target, by name.
        target: what it predicts.
        classes: of a classification.
        rows: with `features` and what is `expected`, as scikit-learn has it.
    """

    def __init__(self, folder: Path) -> None:
        shown = json.loads(subprocess.check_output([MODEL, "show", "--json"], cwd=ROOT))
        self.version = shown["version"]
        self.kinds = {name: kind.rstrip("?") for name, kind in shown["features"].items()}
        self.classes = shown["classes"] or []
        subprocess.run([MODEL, "parity", folder / "rows"], cwd=ROOT, check=True)
        lines = (folder / "rows").read_text("utf-8").splitlines()
        self.rows = [json.loads(line) for line in lines]
        (self.target,) = set(self.rows[0]["expected"]) - {"probabilities"}
        self.function = f"predict_{self.target}_{self.version}"
        self.view = f"{TABLE[:39]}_predicted_{self.version}"

    def values(self) -> list[list[Any]]:
        """The features of all rows."""
        return [list(row["features"].values()) for row in self.rows]

    def check(self, found: list[Any]) -> None:
        """Whether rows of what is expected, and for a classification the probabilities, agree."""
        assert len(found) == len(self.rows)
        largest, worst = 0.0, 0.0
        for row, (expected, *probabilities) in zip(self.rows, found, strict=True):
            right = row["expected"]
            if not probabilities:
                pairs = [(expected, right[self.target])]
            else:
                assert expected == right[self.target], row
                given = probabilities[0]
                given = given if isinstance(given, dict) else json.loads(given)
                assert given.keys() == right["probabilities"].keys()
                pairs = [(given[each], it) for each, it in right["probabilities"].items()]
            largest = max(largest, *(abs(it) for _, it in pairs))
            error = max(abs(one - it) / max(abs(it), 1e-7 * largest) for one, it in pairs)
            worst = max(worst, error)
        print(f"{len(found)} rows, at most {worst:.1g} off")
        assert worst <= 1e-9


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("model"))


def statements(path: Path) -> list[str]:
    """The statements in a file."""
    return path.read_text("utf-8").split("\n;\n")[:-1]


def postgresql_url() -> str:
    """A server for tests; without one the test is skipped, or fails where CI is set."""
    if not (url := os.environ.get("TEST_POSTGRES_URL", "")):
        assert not os.environ.get("CI"), "TEST_POSTGRES_URL is not set"
        pytest.skip("PostgreSQL: TEST_POSTGRES_URL is not set")
    return url
