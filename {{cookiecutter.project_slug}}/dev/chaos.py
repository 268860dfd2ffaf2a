"""`make chaos`: the pair under constant load while one thing after the other goes wrong."""

import fcntl
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from demo import reserved_port
from faults import clients, database, model_side, service_side, strangers
from faults.load import Report, Sent
from faults.operating_system import NotRun
from faults.postgres import Postgres
from faults.processes import FOLDER, TRAINED, System, run
from faults.scenarios import SCENARIOS, Scenario
from pair import ROOT, stop_on_signals

SIDES = (model_side, service_side, database, clients, strangers)
"""Importing them is what fills `SCENARIOS`."""
SECONDS, QUICK_SECONDS = 10.0, 3.0
CALM, BROKEN = 0.2, 0.4
"""The parts of the time before the fault, and during it; the rest is for the recovery."""
SERVED_IN_A_ROW = 20
"""So many requests served by the model one after the other: it has recovered."""

COUNTS = ("sent", "model", "fallback", "shed", "failed", "lost", "doubled", "left")
HEAD = f"{'scenario':26}" + "".join(f"{each:>9}" for each in (*COUNTS, "p99.9", "worst"))
HEAD += f"{'recovered':>11}{'/livez':>8}"
AGAIN = 0.001
"""What part may be sent again, as its connection ended just then, where nothing may fail."""
MOST_CALM_SECONDS = 0.01
"""A p99 below this counts as this: twice of it is nothing that a caller would notice."""


@dataclass
class Result:
    """A scenario's row of the table; seconds, counts, and what its verdict found wrong."""

    counts: Counter[str]
    p999: float
    worst: float
    recovered: float
    misses: int
    faults: list[str]

    def row(self, name: str, line: str) -> str:
        """As a line of the table, times in milliseconds and seconds."""
        counts = "".join(f"{self.counts[each]:9}" for each in COUNTS)
        times = f"{self.p999 * 1000:9.0f}{self.worst * 1000:9.0f}{self.recovered:11.2f}"
        return "\n    ✗ ".join([f"{name:26}{counts}{times}{self.misses:8}  {line}", *self.faults])


def play(scenario: Scenario, seconds: float, judge_times: bool) -> Result:
    """Run a scenario, and judge it; raises NotRun where that is not possible."""
    with ExitStack() as stack:
        settings = scenario.settings(stack) if callable(scenario.settings) else scenario.settings
        server = None
        if scenario.postgres:
            server = Postgres(stack.enter_context(reserved_port()))
            stack.callback(server.end)
        system = System(scenario.name, settings, stack, scenario.handed_over, server)
        system.start(scenario.fake)
        with system.load(**scenario.load) as stop:
            time.sleep(seconds * CALM)
            fault = scenario.fault(system)
            began = time.monotonic()
            next(fault)
            lasts = max(seconds * BROKEN, scenario.lasts if judge_times else 0)
            time.sleep(max(0.0, began + lasts - time.monotonic()))
            ready = system.ready()
            next(fault, None)
            ended = time.monotonic()
            time.sleep(seconds * (1 - CALM - BROKEN))
            report = stop()
        result = count(report, system, ended)
        limits = scenario.limits
        found: dict[str, tuple[float, float | None]] = {
            "failed": (result.counts["failed"], limits.failed),
            "sent again": (report.again, AGAIN * len(report.sent) if limits.failed == 0 else None),
            "rows lost": (result.counts["lost"], 0),
            "rows doubled": (result.counts["doubled"], 0),
            "rows of callers who were not told": (result.counts["left"], limits.left),
        }
        if judge_times:
            calm = percentile([each.seconds for each in report.sent if each.due < began], 0.99)
            during = [each.seconds for each in report.sent if began <= each.due < ended]
            slowed = percentile(during, 0.99) / max(calm, MOST_CALM_SECONDS)
            found |= {
                "shed": (result.counts["shed"], limits.shed),
                "/livez misses": (result.misses, limits.misses),
                "p99.9 in seconds": (result.p999, limits.seconds),
                "p99 over that before": (slowed, limits.slowed),
                "seconds to recover": (result.recovered, limits.recovered),
            }
        result.faults += [
            f"{name}: {value:.4g}, at most {limit:g}"
            for name, (value, limit) in found.items()
            if limit is not None and value > limit
        ]
        if not result.counts["model"]:
            result.faults.append("the model has served nothing")
        if limits.ready not in (None, ready):
            result.faults.append(f"/readyz: {ready} while it lasts, not {limits.ready}")
        return result


def count(report: Report, system: System, ended: float) -> Result:
    """What came of the requests, and what the database says about them."""
    counts = Counter(map(outcome, report.sent))
    sent = [each for every in (report, *system.reports) for each in every.sent]
    counts["sent"] = len(sent)
    acknowledged = {each.id for each in sent if each.id}
    told = {each.key for each in sent if each.id}
    rows, made = system.rows()
    keys = Counter(request_id.rpartition(".")[0] for _, request_id in made)
    del keys[""]  # of requests that were not sent by a load
    counts["lost"] = len(acknowledged - rows)
    counts["doubled"] = sum(number - 1 for number in keys.values())
    half_written = rows - {row for row, _ in made}
    counts["left"] = len(keys.keys() - told) + len(half_written)
    seconds = [each.seconds for each in report.sent]
    p999, worst = percentile(seconds, 0.999), max(seconds, default=0.0)
    recovered = recovery(report.sent, ended)
    return Result(counts, p999, worst, recovered, report.misses, [*system.complaints])


def outcome(sent: Sent) -> str:
    """What came of a request, in the words of the table."""
    if sent.status == 201:
        return "model" if sent.served_by == "model" else "fallback"
    return "shed" if sent.shed else "failed"


def recovery(sent: list[Sent], ended: float) -> float:
    """Seconds from the end of the fault to the first of many requests that the model served."""
    after = sorted((each for each in sent if each.due >= ended), key=lambda each: each.due)
    in_a_row = 0
    for each in after:
        in_a_row = in_a_row + 1 if each.served_by == "model" else 0
        if in_a_row == SERVED_IN_A_ROW:
            return after[after.index(each) + 1 - SERVED_IN_A_ROW].due - ended
    return float("inf")


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def train() -> None:
    """Train two versions: on the history, the current one, and on all of it but the last row.

    Ends the program when another one uses the same folder.
    """
    try:
        fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it ends
    except BlockingIOError:
        sys.exit("another `make chaos` or `make soak` runs in this folder; wait for its end")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    history, shorter = Path("data/history.csv"), FOLDER / "shorter.csv"
    lines = history.read_text("utf-8").splitlines(keepends=True)
    shorter.write_text("".join(lines[:-1]), "utf-8")
    for data in (shorter, history):
        command = ("model/.venv/bin/model", "train", "--force", "--data", str(data))
        run(*command, MODEL_STORE=str(TRAINED))


def main(quick: bool, wanted: str) -> int:
    """Play the scenarios (the quick ones for a short while, without judging times)."""
    stop_on_signals()
    os.chdir(ROOT)
    names = [each.strip() for each in wanted.split(",") if each.strip()] or [*SCENARIOS]
    if unknown := {*names} - {*SCENARIOS}:
        sys.exit(f"SCENARIO: {', '.join(unknown)}: none of {' '.join(SCENARIOS)}")
    train()
    print(HEAD, flush=True)
    total: Counter[str] = Counter()
    failed, left_out = [], 0
    for scenario in (SCENARIOS[name] for name in names):
        if quick and not scenario.quick:
            continue
        name = scenario.name
        try:
            result = play(scenario, QUICK_SECONDS if quick else SECONDS, not quick)
        except NotRun as reason:
            print(f"{name:26}   not run: {reason}", flush=True)
            left_out += 1
            continue
        except Exception as error:
            print(f"{name:26}\n    ✗ {type(error).__name__}: {error}", flush=True)
            failed.append(scenario.name)
            continue
        print(result.row(name, scenario.line), flush=True)
        total += result.counts
        if result.faults:
            failed.append(scenario.name)
    print(f"{'all':26}" + "".join(f"{total[each]:9}" for each in COUNTS))
    print(f"failed: {', '.join(failed)}" if failed else "every verdict holds", end="")
    print(f"; {left_out} not run" if left_out else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv, os.environ.get("SCENARIO", "")))
