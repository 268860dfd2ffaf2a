"""What breaks under load costs no caller: the quick scenarios of `make chaos`."""

import subprocess

from conftest import ROOT


def test_the_pair_withstands_the_quick_scenarios() -> None:
    command = [str(ROOT / "service/.venv/bin/python"), "dev/chaos.py", "--quick"]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
