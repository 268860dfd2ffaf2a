"""What a scenario is, and what its verdict asks for.

A scenario is a generator: what stands before its `yield` begins the fault, what stands behind ends
it. Its docstring is its line in the table.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from faults.processes import System

Fault = Callable[[System], Iterator[None]]
Settings = Mapping[str, str] | Callable[[ExitStack], Mapping[str, str]]


@dataclass(frozen=True)
class Limits:
    """What may happen at most; None for what is not judged.

    Attributes:
        failed: requests without an answer, or with an error other than to come back later.
        shed: requests that were told to come back later.
        left: rows of callers who were not told of them.
        seconds: the latency of 99.9 % of the requests.
        slowed: the p99 during the fault over the p99 before it.
        recovered: seconds from the end of the fault until requests are served by the model again.
        misses: checks of `/livez` without an answer within a second.
        ready: the status of `/readyz` while the fault lasts.
    """

    failed: int | None = 0
    shed: int | None = 0
    left: int = 0
    seconds: float | None = None
    slowed: float | None = None
    recovered: float | None = 2.0
    misses: int | None = 0
    ready: int | None = 200


@dataclass(frozen=True)
class Scenario:
    """One row of the table; the rest is as in `System` and `Plan`.

    Attributes:
        lasts: seconds for which the fault lasts at least.
        quick: whether `make check` runs it.
    """

    name: str
    line: str
    fault: Fault
    limits: Limits
    settings: Settings = field(default_factory=dict)
    postgres: bool = False
    fake: str = ""
    handed_over: bool = False
    load: Mapping[str, Any] = field(default_factory=dict)
    lasts: float = 0.0
    quick: bool = False


SCENARIOS: dict[str, Scenario] = {}


def scenario(limits: Limits, **options: Any) -> Callable[[Fault], Fault]:
    """Makes a scenario of a generator, under its name."""

    def add(fault: Fault) -> Fault:
        name = fault.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(
            name, (fault.__doc__ or "").rstrip("."), fault, limits, **options
        )
        return fault

    return add
