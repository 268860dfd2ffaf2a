"""Memory of a server: resident and proportional, all of its processes together."""

import re
from contextlib import suppress
from pathlib import Path

from processes import Process

LINE = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


def parse(rollup: str) -> dict[str, float]:
    """The memory of one process in megabytes (10^6 bytes), from its /proc/PID/smaps_rollup."""
    return {f"{name.lower()}_mb": int(kib) * 1024 / 1e6 for name, kib in LINE.findall(rollup)}


def memory_of(process: Process) -> dict[str, float]:
    """The memory of a server and its descendants.

    Returns:
        `rss_mb`, resident: shared pages count in each process; `pss_mb`, proportional: they count
        once.
    """
    total = {"rss_mb": 0.0, "pss_mb": 0.0}
    for pid in process.pids():
        with suppress(OSError):  # it has ended meanwhile
            for name, megabytes in parse(Path(f"/proc/{pid}/smaps_rollup").read_text()).items():
                total[name] += megabytes
    return total
