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
    run = REPOSITORY / "build/order-wait-times/run"
    assert not list(run.rglob("*.sock")), "a process was left running"
