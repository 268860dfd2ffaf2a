"""What is measured once a round, and its outcome so far."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bulk import measure_bare, measure_file, measure_infer
from client import measure_child
from machine import versions
from pair import DATABASES, MODEL_URLS, measure_pair, measure_product
from paths import TEMPLATE
from processes import Failed
from results import full_name, summary
from servers import BY_NAME, COMPILED, OURS, PRODUCTS, SERVERS, Server
from serving import measure_server, measure_workers
from swaps import PERIODS, measure_swaps

Measure = Callable[[], dict[str, Any]]
MOST_ROUNDS = 3
"""Of all but the servers: the pair and bulk take as long a round as all servers together."""


@dataclass
class Measurement:
    """One thing to measure.

    Attributes:
        part: where it stands in the results: servers, workers, pair, client, product, bulk or
            swaps.
        about: what stands beside its numbers there, its name first.
        measure: measures it once; raises Failed for a wrong, late or missing response.
        most_rounds: how often it is measured at most.
        rounds: what each round measured.
        error: why it failed; it is not measured again.
    """

    part: str
    about: dict[str, Any]
    measure: Measure
    most_rounds: int
    rounds: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    def run_round(self) -> None:
        """Measure once, unless that was done often enough, and print the outcome on one line."""
        if self.error or len(self.rounds) >= self.most_rounds:
            return
        print(f"  {full_name(self.part, self.about['name']):42}", end="", flush=True)
        start = time.monotonic()
        try:
            self.rounds.append(self.measure())
        except Exception as error:  # whatever failed, the others are measured
            expected = isinstance(error, Failed)
            self.error = str(error) if expected else f"{type(error).__name__}: {error}"
            print(f"FAILED: {self.error}", flush=True)
        else:
            print(f"{one_line(self.rounds[-1])}  [{time.monotonic() - start:.0f} s]", flush=True)

    def result(self) -> dict[str, Any]:
        """What the results hold of it."""
        outcome = {"error": self.error} if self.error else {"summary": summary(self.rounds)}
        return {**self.about, "rounds": self.rounds, **outcome}


def one_line(numbers: dict[str, Any]) -> str:
    """The numbers of one round for the terminal."""
    parts = [
        f"{connections} conn. {load['rps']:6,.0f}/s p99 {load['p99_ms']:5.1f} ms"
        for connections, load in numbers.get("load", {}).items()
    ]
    parts += [f"{it} {value:,.4g}" for it, value in numbers.items() if not isinstance(value, dict)]
    return " | ".join(parts)


def about_server(server: Server) -> dict[str, Any]:
    """What the results say about a server beside its numbers."""
    return {
        "name": server.name,
        "label": server.label,
        "model": server.model,
        "ours": server.ours,
        "versions": versions(server),
        "command": " ".join(server.command).replace(f"{TEMPLATE}/", ""),
        "environment": dict(server.environment),
        "setup": server.setup,
    }


def products(kind: str, seconds: int) -> Iterator[tuple[dict[str, Any], Measure]]:
    """What is said of each way to place orders on a database, and how it is measured."""
    for workers in (1, 2):
        about = {
            "name": f"ours-{workers}",
            "label": f"this template, service with {workers} worker{'s' * (workers - 1)}",
            "model": COMPILED,
            "setup": "the model server behind its private socket",
        }
        yield about, partial(measure_pair, "unix", kind, seconds, workers)
    for server in PRODUCTS:
        yield about_server(server), partial(measure_product, server, kind, seconds)


def measurements(only: list[str], rounds: int, seconds: int) -> list[Measurement]:
    """Everything that a run measures, or the named servers and parts of it."""
    servers = [
        Measurement("servers", about_server(it), partial(measure_server, it, seconds), rounds)
        for it in SERVERS
        if not only or it.name in only
    ]
    fewer = min(rounds, MOST_ROUNDS)
    product = [
        Measurement("product", {**about, "name": f"{about['name']} {kind}"}, measure, fewer)
        for kind in DATABASES
        for about, measure in products(kind, seconds)
        if not only or "product" in only
    ]
    further: dict[tuple[str, str], Measure] = {
        **{("workers", f"{it}"): partial(measure_workers, BY_NAME[OURS], it) for it in (1, 2, 3)},
        **{
            ("pair", f"{way} {kind}"): partial(measure_pair, way, kind, seconds)
            for kind in DATABASES
            for way in MODEL_URLS
        },
        ("client", "socket and child"): partial(measure_child, seconds),
        ("bulk", "bare"): partial(measure_bare, seconds),
        ("bulk", "file"): measure_file,
        ("bulk", "infer"): partial(measure_infer, seconds),
        **{("swaps", kind): partial(measure_swaps, kind, seconds) for kind in PERIODS},
    }
    return [
        *servers,
        *product,
        *(
            Measurement(part, {"name": name}, measure, fewer)
            for (part, name), measure in further.items()
            if not only or part in only
        ),
    ]
