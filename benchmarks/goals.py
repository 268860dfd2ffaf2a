"""What was aimed at, and what was reached: every ratio is computed here, from the medians."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from contestants import OURS, SKLEARN, UNCOMPILED

Results = dict[str, Any]
"""What results.json holds."""


@dataclass(frozen=True)
class Goal:
    """One number and what it was to be.

    Attributes:
        what: the number, in words.
        value: as it was measured.
        least: what it was to be at least; None where there is an upper limit, or no limit.
        most: what it was to be at most.
    """

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it was reached; None where nothing was aimed at."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most


def spread(values: list[float]) -> dict[str, float]:
    """The median over the rounds, and how far they lie apart."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def summary(rounds: list[Results]) -> Results:
    """The spread of every number over the rounds, which are alike."""
    first = rounds[0]
    return {
        key: summary([each[key] for each in rounds])
        if isinstance(first[key], dict)
        else spread([each[key] for each in rounds])
        for key in first
        if key != "errors"
    }


def goals(results: Results) -> list[Goal]:
    """Every goal whose numbers were measured."""
    return [*serving(results), *resources(results), *pair(results), *bulk(results)]


def serving(results: Results) -> Iterator[Goal]:
    """Requests a second and latencies, against the peers."""
    found = measured(results)
    peers = [each for each in found.values() if not each["ours"] and each["artifact"] == SKLEARN]
    best = "the best scikit-learn peer"
    if OURS in found:
        rps, p50, p99 = rps_of(found[OURS]), p50_of(found[OURS]), p99_of(found[OURS])
        if peers:
            times = rps / max(map(rps_of, peers))
            yield Goal(f"requests/s, 8 connections, times {best}", times, least=20)
            share = p50 / min(map(p50_of, peers))
            yield Goal(f"p50, 1 connection, over {best}", share, most=1 / 12)
            share = p99 / min(map(p99_of, peers))
            yield Goal(f"p99, 8 connections, over {best}", share, most=1 / 15)
        for peer in found.values():
            if peer["ours"] or peer["artifact"] == SKLEARN:
                continue
            aim = 1 if peer["name"] == "fastapi-compiled" else None
            label = f"{peer['label']}, compiled"
            times, share = rps / rps_of(peer), p99 / p99_of(peer)
            yield Goal(f"requests/s, 8 connections, times {label}", times, least=aim)
            yield Goal(f"p99, 8 connections, over {label}", share, most=aim)
    if UNCOMPILED in found and peers:
        times = rps_of(found[UNCOMPILED]) / max(map(rps_of, peers))
        yield Goal("--no-compile: requests/s, 8 connections, times the best peer", times, 1.5)


def resources(results: Results) -> Iterator[Goal]:
    """Start and memory."""
    found = measured(results)
    if OURS in found:
        start = found[OURS]["summary"]["start"]["median"]
        yield Goal("seconds to the first answer", start, most=2)
        starts = [
            each["summary"]["start"]["median"]
            for each in found.values()
            if not each["ours"] and each["artifact"] == SKLEARN
        ]
        if starts:
            yield Goal(
                "start, over the quickest scikit-learn peer", start / min(starts), most=1 / 3
            )
    workers = results.get("workers")
    if workers:
        first = workers["1"]["pss"]["median"]
        yield Goal("MB proportional, the first worker and its master", first, most=120)
        further = (workers["3"]["pss"]["median"] - first) / 2
        yield Goal("MB proportional, each further worker", further, most=40)


def pair(results: Results) -> Iterator[Goal]:
    """`POST /orders`: what the way to another process costs."""
    found = {each["name"]: each for each in results.get("pair", []) if "summary" in each}
    for kind in ("sqlite", "postgresql"):
        if {f"unix {kind}", f"library {kind}"} <= found.keys():
            unix, library = (p50_of(found[f"{way} {kind}"]) for way in ("unix", "library"))
            yield Goal(f"POST /orders, {kind}: p50 of unix over library", unix / library, most=1.5)


def bulk(results: Results) -> Iterator[Goal]:
    """Many rows at once: the share of what ONNX Runtime alone does."""
    found = results.get("bulk", {})
    aims = {"file": 0.6, "file with start": None, "infer": 0.4}
    for way, least in aims.items():
        if {"bare", way} <= found.keys():
            share = found[way]["median"] / found["bare"]["median"]
            yield Goal(f"many rows, {way}: share of bare ONNX Runtime", share, least)


def measured(results: Results) -> dict[str, Results]:
    """The contestants that were not disqualified, by name."""
    return {each["name"]: each for each in results.get("contestants", []) if "summary" in each}


def rps_of(contestant: Results) -> float:
    """Requests a second with 8 connections."""
    return float(contestant["summary"]["load"]["8"]["rps"]["median"])


def p50_of(contestant: Results) -> float:
    """Median latency in milliseconds with one connection."""
    return float(contestant["summary"]["load"]["1"]["p50"]["median"])


def p99_of(contestant: Results) -> float:
    """Latency in milliseconds of 99 in 100 with 8 connections."""
    return float(contestant["summary"]["load"]["8"]["p99"]["median"])
