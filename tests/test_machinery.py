"""What a project's code relies on and its own tests take for granted, tested on a project.

The files in `tests/machinery/<unit>/` are tests of a stamped-out unit that no team has to read: of
gunicorn's worker, of the compiler and its gate. They run among the unit's own tests, whose fixtures
they use.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_projects import KINDS, Stamp, environment, on_the_bench, write_history

MACHINERY = Path(__file__).parent / "machinery"
NEEDS = Path(__file__).parent.parent / "requirements-machinery.txt"
CLIENTS = Path(__file__).parent.parent / ".venv-clients/bin/python"
UNITS = sorted(path.name for path in MACHINERY.iterdir() if path.is_dir())
ALIKE = {
    "test_breaker.py",
    "test_child_faults.py",
    "test_csv_table.py",
    "test_faults.py",
    "test_first_version.py",
    "test_front.py",
    "test_handing.py",
    "test_database_faults.py",
    "test_incoming.py",
    "test_fuzzing.py",
    "test_job.py",
    "test_large_report.py",
    "test_logs.py",
    "test_open_inference.py",
    "test_replacing.py",
    "test_reporting.py",
    "test_serving.py",
    "test_spans.py",
    "test_strangers.py",
    "test_traceparent.py",
    "test_worker.py",
}
"""Suites that take long and do not depend on the answers; the default project runs them."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["default", "binary with missing values"])
@pytest.mark.parametrize("unit", UNITS)
def test_the_machinery_of_a_unit_works(unit: str, kind: str, stamp: Stamp, tmp_path: Path) -> None:
    answers = dict(KINDS[kind])
    if answers:
        answers["history"] = str(tmp_path / "history.csv")
        write_history(Path(answers["history"]), answers)
    project = on_the_bench(stamp(tmp_path / "out", **answers))
    subprocess.run(
        ["make", "--silent", f"{unit}/.venv/ready"], cwd=project, env=environment(), check=True
    )
    uv, venv = Path(sys.executable).with_name("uv"), project / unit / ".venv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", venv, "--require-hashes", "-r", NEEDS],
        check=True,
    )
    suites = sorted([*(MACHINERY / unit).glob("*.py"), MACHINERY / "raw_http.py"])
    for suite in suites:
        assert not (project / unit / "tests" / suite.name).exists(), "a suite of the project's own"
        shutil.copy(suite, project / unit / "tests")
    names = [each.name for each in suites if each.name.startswith("test_")]
    names = [name for name in names if kind == "default" or name not in ALIKE]
    done = subprocess.run(
        [".venv/bin/pytest", *(f"tests/{name}" for name in names)],
        cwd=project / unit,
        env=environment(CLIENTS_PYTHON=str(CLIENTS)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout[-20_000:])
    assert done.returncode == 0
    assert re.search(r"^\d+ passed", done.stdout, re.M)
    if os.environ.get("CI"):
        assert "skipped" not in done.stdout
