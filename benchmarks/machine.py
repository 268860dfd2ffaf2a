"""What the numbers were measured on and with."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contestants import Contestant
from load import version as wrk_version

VERSIONS = (
    "import json, sys; from importlib.metadata import version;"
    "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
)


def machine() -> dict[str, Any]:
    """The machine, its system, the day, and how busy it was with something else."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": found[1] if found else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "wrk": wrk_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "load before": os.getloadavg()[0],
    }


def versions(contestant: Contestant) -> dict[str, str]:
    """The versions of the packages that make a contestant, as they are installed."""
    command = [str(contestant.python), "-c", VERSIONS, *contestant.packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
