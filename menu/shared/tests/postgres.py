"""The current version and the rows of the compile gate, and PostgreSQL to put them into."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psycopg
import pytest

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
MODEL = ROOT / "model/.venv/bin/model"
TABLE = os.environ.get("TABLE", "")

Connection = psycopg.Connection[Any]


class Model:
    """The current version.

    Attributes:
        version: its name.
        kinds: of the features, by name.
        classes: of a classification.
        target: what it predicts.
        rows: with `features` and what is `expected`, as scikit-learn has it.
        history: how many rows the history has; the first ones are of it.
    """

    def __init__(self) -> None:
        shown = json.loads(subprocess.check_output([MODEL, "show", "--json"], cwd=ROOT))
        with TemporaryDirectory() as folder:
            file = Path(folder, "rows")
            subprocess.run([MODEL, "parity", file], cwd=ROOT, check=True)
            self.rows = list(map(json.loads, file.read_text("utf-8").splitlines()))
        self.version: str = shown["version"]
        self.kinds = {name: kind.rstrip("?") for name, kind in shown["features"].items()}
        self.classes: list[str] = shown["classes"] or []
        self.history: int = shown["data"]["rows"]
        (self.target,) = set(self.rows[0]["expected"]) - {"probabilities"}


def statements(name: str) -> list[str]:
    """The statements in one of the files that were written."""
    return (DISH / "build" / name).read_text("utf-8").split("\n;\n")[:-1]


def server() -> str:
    """The address of one; without it the test is skipped, or fails where CI is set."""
    if not (url := os.environ.get("TEST_POSTGRES_URL", "")):
        assert not os.environ.get("CI"), "TEST_POSTGRES_URL is not set"
        pytest.skip("PostgreSQL: TEST_POSTGRES_URL is not set")
    return url


@contextmanager
def own_schema() -> Iterator[Connection]:
    """A connection whose tables are in a schema of its own, which goes with it."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"SET search_path TO {schema}")
        try:
            yield connection
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
