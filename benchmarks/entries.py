"""What a run is made of: each thing that is measured once a round, and what became of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bulk import visit_bare, visit_file, visit_infer
from contestants import CONTESTANTS, OURS, Contestant
from goals import summary
from machine import versions
from pair import DATABASES, WAYS, visit_pair
from places import TEMPLATE
from visit import Disqualified, visit, visit_workers

PARTS = ("workers", "pair", "bulk")
"""What is measured besides the contestants."""
FEWER = 3  # rounds of the pair and of bulk at most, which take as long as all contestants


@dataclass
class Entry:
    """One thing to measure.

    Attributes:
        part: where its results go: contestants, workers, pair or bulk.
        about: what stands beside its numbers there, its name among them.
        measure: one round.
        rounds: how many.
        found: what each round found.
        fault: why it was disqualified; it is not measured again.
    """

    part: str
    about: dict[str, Any]
    measure: Callable[[], dict[str, Any]]
    rounds: int
    found: list[dict[str, Any]] = field(default_factory=list)
    fault: str | None = None

    @property
    def name(self) -> str:
        """What it is called among all entries."""
        name = str(self.about["name"])
        return name if self.part == "contestants" else f"{self.part} {name}"

    def visit(self) -> None:
        """Measure once, unless that was done often enough, and print the outcome on one line."""
        if self.fault or len(self.found) >= self.rounds:
            return
        print(f"  {self.name:22}", end="", flush=True)
        start = time.monotonic()
        try:
            self.found.append(self.measure())
        except Exception as error:  # whatever went wrong, the others are measured
            told = isinstance(error, Disqualified)
            self.fault = str(error) if told else f"{type(error).__name__}: {error}"
            print(f"DISQUALIFIED: {self.fault}", flush=True)
        else:
            print(f"{brief(self.found[-1])}  [{time.monotonic() - start:.0f} s]", flush=True)

    def result(self) -> dict[str, Any]:
        """What the results say of it."""
        if self.fault or not self.found:
            return {**self.about, "rounds": self.found}
        return {**self.about, "rounds": self.found, "summary": summary(self.found)}


def brief(found: dict[str, Any]) -> str:
    """A round's numbers on one line."""
    if "load" in found:
        loads = found["load"].items()
        parts = [
            f"{it} conn. {load['rps']:6,.0f}/s p99 {load['p99']:5.1f} ms" for it, load in loads
        ]
        return " | ".join(
            [*parts, *([f"start {found['start']:.1f} s"] if "start" in found else [])]
        )
    return "  ".join(f"{name} {value:,.4g}" for name, value in found.items())


def contestant_entry(contestant: Contestant, rounds: int, seconds: int) -> Entry:
    """A contestant, to be measured."""
    about = {
        "name": contestant.name,
        "label": contestant.label,
        "artifact": contestant.artifact,
        "ours": contestant.ours,
        "versions": versions(contestant),
        "command": " ".join(contestant.command).replace(f"{TEMPLATE}/", ""),
        "environment": dict(contestant.environment),
        "setup": contestant.setup,
    }
    return Entry("contestants", about, partial(visit, contestant, seconds), rounds)


def entries(only: list[str], rounds: int, seconds: int) -> list[Entry]:
    """All that is to be measured, or the contestants and parts that were named."""
    fewer = min(rounds, FEWER)
    found = [
        contestant_entry(each, rounds, seconds)
        for each in CONTESTANTS
        if not only or each.name in only
    ]
    (ours,) = [each for each in CONTESTANTS if each.name == OURS]
    found += [
        Entry("workers", {"name": f"{count}"}, partial(visit_workers, ours, count), fewer)
        for count in (1, 2, 3)
    ]
    found += [
        Entry("pair", {"name": f"{way} {kind}"}, partial(visit_pair, way, kind, seconds), fewer)
        for kind in DATABASES
        for way in WAYS
    ]
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "bare": partial(visit_bare, seconds),
        "file": visit_file,
        "infer": partial(visit_infer, seconds),
    }
    found += [Entry("bulk", {"name": name}, way, fewer) for name, way in ways.items()]
    return [each for each in found if not only or each.part in ("contestants", *only)]
