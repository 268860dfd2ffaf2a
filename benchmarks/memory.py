"""Memory of a server: resident and proportional, all of its processes together."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from processes import Server

LINE = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Memory:
    """In megabytes (10^6 bytes).

    Attributes:
        rss: resident; what processes share counts in each of them.
        pss: proportional; what processes share counts once in all.
    """

    rss: float
    pss: float


def parse(rollup: str) -> Memory:
    """The memory of one process, from its /proc/PID/smaps_rollup."""
    kibibytes = {name: int(size) for name, size in LINE.findall(rollup)}
    return Memory(kibibytes["Rss"] * 1024 / 1e6, kibibytes["Pss"] * 1024 / 1e6)


def memory_of(server: Server) -> Memory:
    """The memory of a server and every process below it."""
    rss = pss = 0.0
    for pid in server.tree():
        with suppress(OSError):  # it has ended meanwhile
            each = parse(Path(f"/proc/{pid}/smaps_rollup").read_text())
            rss, pss = rss + each.rss, pss + each.pss
    return Memory(rss, pss)
