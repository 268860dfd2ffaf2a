"""The README's first command, as a newcomer runs it."""

import os
import re
import subprocess

import pytest
from test_projects import REPOSITORY

pytestmark = pytest.mark.slow


def test_make_demo_goes_from_nothing_to_predictions_and_ends() -> None:
    done = subprocess.run(
        ["make", "demo"],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^ *\d+ +([\d,.]+) +([\d,.]+) +model [0-9a-f]{12}$", done.stdout, re.M)
    assert len(rows) == 5
    project = REPOSITORY / "build/order-wait-times"
    assert not list((project / "run").rglob("*.sock")), "a process was left running"
    written = [
        each for name in ("var", "run", "artifacts") for each in project.glob(f"{name}/**/*")
    ]
    assert project / "var/demo.db" in written
    assert not [each for each in [*written, project / ".env"] if each.stat().st_mode & 0o077]
