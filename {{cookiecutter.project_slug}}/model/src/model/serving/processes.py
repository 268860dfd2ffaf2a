"""What the master and its workers need, together: the client library knows one process alone."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PROC = Path("/proc")


class Processes(Collector):
    """Memory and CPU time of this worker's master and of its workers; nothing where no /proc is."""

    def collect(self) -> Iterator[Metric]:
        """As a process would tell them of itself."""
        master = str(os.getppid())
        with suppress(OSError):
            workers = (PROC / master / "task" / master / "children").read_text().split()
            # The master's time has that of the workers that ended, so the sum never falls.
            seconds = _seconds(master, ended=True) + sum(map(_seconds, workers))
            memory = sum(map(_memory, [master, *workers]))
            yield CounterMetricFamily(
                "process_cpu_seconds_total", "CPU time of all processes", value=seconds
            )
            yield GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Memory of all processes; what they share counts once",
                value=memory,
            )


def _seconds(pid: str, ended: bool = False) -> float:
    fields = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if ended else 13])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: str) -> int:
    """The proportional set size, in bytes."""
    for line in (PROC / pid / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0
