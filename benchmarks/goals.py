"""The goals: every ratio is computed here, from the medians, beside its limit."""

from collections.abc import Iterator
from dataclasses import dataclass

from results import P50, P50_ALONE, P99, RPS, START, Results, measured, median_of, spread_of
from servers import OURS, SKLEARN, UNCOMPILED


@dataclass(frozen=True)
class Goal:
    """One number and its limit.

    Attributes:
        name: the number, in words.
        value: as it was measured.
        at_least: the lower limit; None where there is an upper limit, or no limit.
        at_most: the upper limit.
    """

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the number keeps to its limit; None where there is no limit."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most


def goals(results: Results) -> list[Goal]:
    """Every goal whose numbers were measured."""
    parts = (serving, memory, pair, client, product, bulk, swaps)
    return [goal for part in parts for goal in part(results)]


def serving(results: Results) -> Iterator[Goal]:
    """Requests a second, latencies and start, against the peers."""
    servers = measured(results, "servers")
    peers = [each for each in servers.values() if not each["ours"]]
    sklearn = [each for each in peers if each["model"] == SKLEARN]
    best = "the best scikit-learn peer"
    if OURS in servers:
        ours = {path: median_of(servers[OURS], path) for path in (RPS, P50_ALONE, P99, START)}
        if sklearn:
            rps = max(median_of(each, RPS) for each in sklearn)
            p50, p99 = (min(median_of(each, it) for each in sklearn) for it in (P50_ALONE, P99))
            yield Goal(f"requests/s, 8 connections, times {best}", ours[RPS] / rps, at_least=20)
            yield Goal(f"p50, 1 connection, over {best}", ours[P50_ALONE] / p50, at_most=1 / 12)
            yield Goal(f"p99, 8 connections, over {best}", ours[P99] / p99, at_most=1 / 15)
        for peer in peers:
            if peer["model"] != SKLEARN:
                limit = 1 if peer["name"] == "fastapi-compiled" else None
                label = f"{peer['label']}, compiled"
                times, share = ours[RPS] / median_of(peer, RPS), ours[P99] / median_of(peer, P99)
                yield Goal(f"requests/s, 8 connections, times {label}", times, at_least=limit)
                yield Goal(f"p99, 8 connections, over {label}", share, at_most=limit)
    if UNCOMPILED in servers and sklearn:
        times = median_of(servers[UNCOMPILED], RPS) / max(median_of(it, RPS) for it in sklearn)
        yield Goal("--no-compile: requests/s, 8 connections, times the best peer", times, 1.5)
    if OURS in servers:
        yield Goal("seconds to the first answer", ours[START], at_most=2)
        if sklearn:
            share = ours[START] / min(median_of(each, START) for each in sklearn)
            yield Goal("start, over the quickest scikit-learn peer", share, at_most=1 / 3)


def memory(results: Results) -> Iterator[Goal]:
    """The memory of our server by its workers."""
    workers = measured(results, "workers")
    if {"1", "3"} <= workers.keys():
        one, three = (median_of(workers[count], "pss_mb") for count in "13")
        yield Goal("MB proportional, the first worker and its master", one, at_most=120)
        yield Goal("MB proportional, each further worker", (three - one) / 2, at_most=40)


def pair(results: Results) -> Iterator[Goal]:
    """`POST /orders`: what the way to another process costs, and what traces do."""
    ways = measured(results, "pair")
    for kind in ("sqlite", "postgresql"):
        if {f"unix {kind}", f"library {kind}"} <= ways.keys():
            unix, library = ways[f"unix {kind}"], ways[f"library {kind}"]
            share = median_of(unix, P50_ALONE) / median_of(library, P50_ALONE)
            yield Goal(f"POST /orders, {kind}: p50 of unix over library", share, at_most=1.5)
        if {f"unix {kind}", f"traced {kind}"} <= ways.keys():
            share = median_of(ways[f"traced {kind}"], RPS) / median_of(ways[f"unix {kind}"], RPS)
            what = "requests/s with 8, 1 % of traces recorded, over none"
            yield Goal(f"POST /orders, {kind}: {what}", share, at_least=0.92)


def client(results: Results) -> Iterator[Goal]:
    """A prediction as the service asks for it."""
    for each in measured(results, "client").values():
        what = "a prediction: p50 of subprocess over unix, in turn"
        yield Goal(what, median_of(each, "share"), at_most=1)


def product(results: Results) -> Iterator[Goal]:
    """`POST /orders` beside the same product written by hand, with the model in its handler."""
    ways = measured(results, "product")
    for kind in ("sqlite", "postgresql"):
        if (ours := ways.get(f"ours-1 {kind}")) is None:
            continue
        what = f"POST /orders, {kind}:"
        rps, p50_alone = median_of(ours, RPS), median_of(ours, P50_ALONE)
        for name, times, over in (("orders-fastapi-compiled", 1, 1.2), ("orders-flask", 6, None)):
            if peer := ways.get(f"{name} {kind}"):
                label = f"{peer['label']}, {peer['model']}"
                share = rps / median_of(peer, RPS)
                yield Goal(f"{what} requests/s with 8, times {label}", share, at_least=times)
                share = p50_alone / median_of(peer, P50_ALONE)
                yield Goal(f"{what} p50 alone, over {label}", share, at_most=over)
        if kind == "sqlite":
            share = median_of(ours, P99) / median_of(ours, P50)
            yield Goal(f"{what} p99 with 8, over its p50", share, at_most=5)
        if two := ways.get(f"ours-2 {kind}"):
            limit = 1.3 if kind == "postgresql" else None
            share = median_of(two, RPS) / rps
            yield Goal(f"{what} requests/s of two workers over one", share, at_least=limit)


def bulk(results: Results) -> Iterator[Goal]:
    """Many rows at once: the share of what ONNX Runtime alone does."""
    ways = measured(results, "bulk")
    for name, way, rate, limit in (
        ("file", "file", "rows_per_second", 0.6),
        ("file with start", "file", "rows_per_second_with_start", None),
        ("infer", "infer", "rows_per_second", 0.4),
    ):
        if {"bare", way} <= ways.keys():
            share = median_of(ways[way], rate) / median_of(ways["bare"], "rows_per_second")
            yield Goal(f"many rows, {name}: share of bare ONNX Runtime", share, limit)


def swaps(results: Results) -> Iterator[Goal]:
    """What callers notice while the version that is served is changed."""
    for kind, each in measured(results, "swaps").items():
        share = median_of(each, "during.p99_ms") / median_of(each, "before.p99_ms")
        yield Goal(f"swaps, {kind}: p99 during them, over that before", share, at_most=2)
        what = "seconds until the version before is gone, at most"
        slowest = spread_of(each, "everywhere_seconds_at_most")["max"]
        yield Goal(f"swaps, {kind}: {what}", slowest, at_most=2)
        failed = spread_of(each, "failed")["max"]
        yield Goal(f"swaps, {kind}: failed requests", failed, at_most=0)
