"""`make soak MINUTES=10`: steady load on the pair, and what its processes need of memory meanwhile.

Writes var/soak.csv and var/soak.svg. Memory is the proportional set size: what processes share is
divided among them.
"""

import csv
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import mean

from chaos import outcome, percentile, train
from faults.load import Sent
from faults.operating_system import children
from faults.processes import System
from pair import ROOT, stop_on_signals

SAMPLES = 120
WARM_UP = 0.2
"""The part of the time after which memory may not grow any more."""
GROWTH = 0.05
"""By how much it may grow from the first tenth after the warm-up to the last one."""
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
WIDTH, HEIGHT, MARGIN = 720, 200, 60


def memory(pid: int) -> float:
    """The proportional set size of a process and its workers, in MiB."""
    total = 0
    for each in (pid, *children(pid)):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def row(sent: list[Sent], seconds: float) -> dict[str, float]:
    """What came of the requests of so many seconds."""
    failed = sum(outcome(each) in ("failed", "shed") for each in sent)
    fallbacks = sum(outcome(each) == "fallback" for each in sent)
    p99 = percentile([each.seconds for each in sent], 0.99) * 1000
    return {
        "requests_per_second": len(sent) / seconds,
        "fallbacks": fallbacks,
        "failed": failed,
        "p99_ms": p99,
    }


def chart(rows: list[dict[str, float]], names: list[str]) -> str:
    """One small chart for each name, over the time."""
    parts = []
    end = rows[-1]["second"]
    for number, name in enumerate(names):
        top, values = number * (HEIGHT + MARGIN) + MARGIN, [row[name] for row in rows]
        most = max(values) or 1.0
        points = " ".join(
            f"{MARGIN + WIDTH * row['second'] / end:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for row, value in zip(rows, values, strict=True)
        )
        label = f"{name}: from {values[0]:.4g} to {values[-1]:.4g}, at most {most:.4g}"
        parts.append(
            f'<text x="{MARGIN}" y="{top - 10}">{label}; 0 to {end:.0f} s</text>'
            f'<path d="M{MARGIN} {top}v{HEIGHT}h{WIDTH}" stroke="#999"/>'
            f'<polyline points="{points}" stroke="{COLOURS[number % len(COLOURS)]}"/>'
        )
    size = f'width="{WIDTH + 2 * MARGIN}" height="{len(names) * (HEIGHT + MARGIN) + MARGIN}"'
    style = "text{font:14px sans-serif;stroke:none;fill:#333}"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill="none" stroke-width="1.5">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def main(minutes: float) -> int:
    """Load the pair for so long; 1 if a request failed or its memory grew."""
    stop_on_signals()
    os.chdir(ROOT)
    train()
    every = minutes * 60 / SAMPLES
    rows: list[dict[str, float]] = []
    with ExitStack() as stack:
        system = System("soak", {}, stack)
        system.start()
        stop = stack.enter_context(system.load())
        began = time.monotonic()
        for number in range(1, SAMPLES + 1):
            time.sleep(max(0.0, began + number * every - time.monotonic()))
            sides = {"service": system.service.pid, "model": system.model.pid}
            rows.append(
                {"second": number * every} | {f"{n}_mib": memory(p) for n, p in sides.items()}
            )
        report = stop()
    for each in rows:
        end = began + each["second"]
        each |= row([sent for sent in report.sent if end - every <= sent.due < end], every)
    with Path("var/soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows({name: round(value, 3) for name, value in each.items()} for each in rows)
    names = ["requests_per_second", "failed", "p99_ms", "service_mib", "model_mib"]
    Path("var/soak.svg").write_text(chart(rows, names), "utf-8")
    faults = []
    if failed := sum(each["failed"] for each in rows):
        faults.append(f"{failed:.0f} of {len(report.sent)} requests failed")
    warm = rows[int(SAMPLES * WARM_UP) :]
    for name in ("service_mib", "model_mib"):
        first, last = (
            mean(each[name] for each in part)
            for part in (warm[: SAMPLES // 10], warm[-SAMPLES // 10 :])
        )
        print(f"{name}: {first:.1f} after the warm-up, {last:.1f} at the end")
        if last > first * (1 + GROWTH):
            faults.append(f"{name} has grown by {last / first - 1:.1%}")
    print(f"{len(report.sent)} requests, {failed:.0f} failed; var/soak.csv, var/soak.svg")
    print("\n".join(faults) or "every verdict holds")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
