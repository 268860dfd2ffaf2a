"""Stamping projects out, as a user would: through cookiecutter's command line."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stamping.private import DEFAULTS as DEFAULTS
from stamping.private import derived

TEMPLATE = Path(__file__).parent.parent

ANSWERS: dict[str, Any] = DEFAULTS | {
    "project_slug": "order-wait-times",
    "description": "Predicts the wait seconds of each order",
    "__plural": "orders",
    "history": "none",
    "_output_dir": str(TEMPLATE),
}
ANSWERS |= derived(ANSWERS)
"""What cookiecutter makes of the defaults, but for the history."""


def answers_with(answers: dict[str, Any]) -> dict[str, Any]:
    """What it makes of these answers and the defaults of the others."""
    some = ANSWERS | answers
    return some | derived(some) | answers


# Training takes one core, since the tests take all of them: a quarter of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Stamp = Callable[..., Path]
"""`stamp(out, **answers)`: the folder of the new project, which is made in the folder `out`."""


class StampFailed(Exception):
    """The answers were rejected; the message is all that was printed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, or it would run alone at the end."""
    items.sort(key=lambda each: each.path.name != "test_season.py")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if tests of a group would run in several workers at once."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        grouped = [each for each in session.items if each.get_closest_marker("xdist_group")]
        assert all("@" in each.nodeid for each in grouped), "pytest-xdist does not group tests"


@pytest.fixture(scope="session")
def stamp(tmp_path_factory: pytest.TempPathFactory) -> Stamp:
    """Stamps projects out, untouched by the cookiecutter settings of whoever runs the tests."""
    home = tmp_path_factory.mktemp("cookiecutter")
    config = home / "config.yaml"
    config.write_text(f"cookiecutters_dir: {home}\nreplay_dir: {home}\n")

    def run(out: Path, **answers: str) -> Path:
        out.mkdir(parents=True, exist_ok=True)
        before = set(out.iterdir())
        options = ["--no-input", "--config-file", str(config), "--output-dir", str(out)]
        pairs = [f"{answer}={value}" for answer, value in answers.items()]
        result = subprocess.run(
            [sys.executable, "-m", "cookiecutter", str(TEMPLATE), *options, *pairs],
            cwd=out,
            env={**os.environ, "PWD": str(out)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        if result.returncode:
            raise StampFailed(result.stdout)
        (project,) = set(out.iterdir()) - before
        return project

    return run


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
