"""The machine and the versions that the numbers were measured with."""

import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from load import wrk_version
from processes import run_command
from servers import Server

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
        "load_before": os.getloadavg()[0],
    }


def versions(server: Server) -> dict[str, str]:
    """The installed versions of the packages that a server is made of."""
    printed = run_command(server.python, "-c", VERSIONS, *server.packages)
    return dict(json.loads(printed))
