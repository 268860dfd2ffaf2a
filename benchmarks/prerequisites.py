"""Checks, before anything is set up, that the machine has what a run needs."""

import shutil
import sys
from pathlib import Path

WRK = "wrk is not installed: `apt-get install wrk` on Debian and Ubuntu, or github.com/wg/wrk"
PROC = "memory is read from /proc/PID/smaps_rollup, which Linux has: run this on Linux"
PYTHON = "MLServer runs on Python 3.11 and 3.12: `make clean`, then `make bench PYTHON=python3.12`"


def check() -> None:
    """Exit with one line for each thing that is missing and how to get it."""
    fulfilled = {
        WRK: shutil.which("wrk"),
        PROC: Path("/proc/self/smaps_rollup").exists(),
        PYTHON: sys.version_info < (3, 13),
    }
    if missing := [message for message, there in fulfilled.items() if not there]:
        raise SystemExit("\n".join(missing))


if __name__ == "__main__":
    check()
