"""What results.json holds: the measurements of each part of a run, and how they are read.

A measurement has a `name`, its `rounds`, and their `summary` or the `error` that it failed with.
"""

from statistics import median
from typing import Any

Results = dict[str, Any]

PARTS = ("servers", "workers", "pair", "client", "product", "bulk", "swaps")
RPS, P50, P99 = "load.8.rps", "load.8.p50_ms", "load.8.p99_ms"
P50_ALONE = "load.1.p50_ms"
START = "start_seconds"
RSS, PSS = "memory.rss_mb", "memory.pss_mb"


def spread(values: list[float]) -> dict[str, float]:
    """The median over the rounds, the least and the greatest."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def summary(rounds: list[Results]) -> Results:
    """The spread of every number over the rounds, which all have the same keys."""
    first = rounds[0]
    return {
        key: summary([each[key] for each in rounds])
        if isinstance(first[key], dict)
        else spread([each[key] for each in rounds])
        for key in first
        if key != "errors"
    }


def measured(results: Results, part: str) -> dict[str, Results]:
    """The measurements of a part that did not fail, by name."""
    return {each["name"]: each for each in results.get(part, []) if "summary" in each}


def spread_of(each: Results, path: str) -> dict[str, float]:
    """The spread at a path in the summary, such as `load.8.rps`."""
    found = each["summary"]
    for key in path.split("."):
        found = found[key]
    return dict(found)


def median_of(each: Results, path: str) -> float:
    """The median at a path in the summary."""
    return spread_of(each, path)["median"]


def fastest_first(results: Results) -> list[Results]:
    """The servers that did not fail, by requests a second."""
    return sorted(measured(results, "servers").values(), key=lambda it: -median_of(it, RPS))


def full_name(part: str, name: str) -> str:
    """The name of a measurement among those of all parts."""
    return name if part == "servers" else f"{part} {name}"


def failures(results: Results) -> dict[str, str]:
    """Why measurements failed, by their full names."""
    return {
        full_name(part, each["name"]): each["error"]
        for part in PARTS
        for each in results.get(part, [])
        if "error" in each
    }
