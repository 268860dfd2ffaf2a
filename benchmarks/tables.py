"""The results for people: tables in Markdown, which are readable on a terminal as well."""

from collections.abc import Iterable

from goals import goals
from results import (
    P50,
    P50_ALONE,
    P99,
    PSS,
    RPS,
    RSS,
    START,
    Results,
    fastest_first,
    measured,
    median_of,
    spread_of,
)

LATENCIES = (P50, P99, P50_ALONE, "load.1.p99_ms")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Iterable[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    first, *rest = widths
    rule = line(["-" * first, *("-" * (width - 1) + ":" for width in rest)])
    return "\n".join([line(head), rule, *map(line, rows)])


def number(value: float) -> str:
    """Three significant digits, with thousands separators."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def medians(each: Results, *paths: str) -> list[str]:
    """A cell for each median; megabytes without decimals."""
    return [
        f"{median_of(each, it):.0f}" if it.endswith("_mb") else number(median_of(each, it))
        for it in paths
    ]


def ranges(each: Results, *paths: str) -> list[str]:
    """A cell for each median with, in brackets, the least and the greatest."""
    spreads = [spread_of(each, path) for path in paths]
    return [
        f"{number(it['median'])} ({number(it['min'])} to {number(it['max'])})" for it in spreads
    ]


def servers(results: Results) -> str:
    """One line for each server, the fastest first."""
    columns = (*LATENCIES, START, RSS, PSS)
    rows = [
        [each["label"], each["model"], *ranges(each, RPS), *medians(each, *columns)]
        for each in fastest_first(results)
    ]
    head = ["server", "model", "requests/s with 8", "p50 ms", "p99 ms", "p50 ms alone", "p99 ms"]
    return table([*head, "start s", "RSS MB", "PSS MB"], rows)


def servers_for_readme(results: Results) -> str:
    """The same for the README: medians only, and fewer of them."""
    rows = [
        [each["label"], each["model"], *medians(each, RPS, P99, P50_ALONE, START, PSS)]
        for each in fastest_first(results)
    ]
    head = ["one worker", "model", "requests/s, 8 at a time", "p99 ms", "p50 ms alone"]
    return table([*head, "ready after s", "MB"], rows)


def workers(results: Results) -> str:
    """One line for each number of workers."""
    found = measured(results, "workers").items()
    rows = [[count, *ranges(each, "rss_mb", "pss_mb")] for count, each in found]
    return table(["workers", "RSS MB", "PSS MB"], rows)


def pair(results: Results) -> str:
    """One line for each way to the model and each database."""
    rows = [
        [name, *ranges(each, RPS, "load.1.rps"), *medians(each, *LATENCIES)]
        for name, each in measured(results, "pair").items()
    ]
    head = ["POST /orders", "requests/s with 8", "alone", "p50 ms with 8", "p99 ms"]
    return table([*head, "p50 ms alone", "p99 ms"], rows)


def client(results: Results) -> str:
    """One line: a prediction of a server at a socket, and of one that is a child."""
    rows = [
        [name, *ranges(each, "unix_p50_ms", "subprocess_p50_ms", "share")]
        for name, each in measured(results, "client").items()
    ]
    return table(["a prediction", "p50 ms at a socket", "of a child", "over the other"], rows)


def product(results: Results) -> str:
    """One line for each product and database."""
    rows = [
        [
            f"{each['label']}, {name.split()[1]}",
            each["model"],
            *ranges(each, RPS, "load.1.rps"),
            *medians(each, *LATENCIES),
        ]
        for name, each in measured(results, "product").items()
    ]
    head = ["POST /orders", "model", "requests/s with 8", "alone", "p50 ms with 8", "p99 ms"]
    return table([*head, "p50 ms alone", "p99 ms"], rows)


def bulk(results: Results) -> str:
    """One line for each way to predict many rows."""
    ways = measured(results, "bulk")
    rows = [
        [label, *ranges(ways[way], rate)]
        for label, way, rate in (
            ("ONNX Runtime, arrays in memory", "bare", "rows_per_second"),
            ("infer, 10,000 rows a request", "infer", "rows_per_second"),
            ("model predict, 1,000,000 rows, less its start", "file", "rows_per_second"),
            ("model predict, start and all", "file", "rows_per_second_with_start"),
        )
        if way in ways
    ]
    return table(["many rows", "rows/s"], rows)


def swaps(results: Results) -> str:
    """One line for each kind of store."""
    stretches = ("before", "during", "after")
    rows = [
        [
            f"{kind}, {median_of(each, 'swaps'):.0f} times",
            *ranges(each, *(f"{stretch}.p99_ms" for stretch in stretches)),
            *medians(each, *(f"{it}.p50_ms" for it in stretches)),
            *medians(each, *(f"{it}.max_ms" for it in stretches)),
            *medians(each, "everywhere_seconds", "everywhere_seconds_at_most", "failed"),
        ]
        for kind, each in measured(results, "swaps").items()
    ]
    head = ["swaps in a", "p99 ms before", "during", "after", "p50 ms before", "during"]
    head += ["after", "longest ms before", "during", "after", "everywhere after s", "at most"]
    return table([*head, "failed"], rows)


def goals_met(results: Results) -> str:
    """One line for each goal."""
    rows = []
    for goal in goals(results):
        limit = "" if goal.at_least is None else f"≥ {goal.at_least:.3g}"
        limit = limit if goal.at_most is None else f"≤ {goal.at_most:.3g}"
        verdict = {True: "met", False: "MISSED", None: ""}[goal.met]
        rows.append([goal.name, number(goal.value), limit, verdict])
    return table(["goal", "measured", "aim", ""], rows)


def report(results: Results) -> str:
    """Every table that has a line."""
    tables = [
        part(results) for part in (servers, workers, pair, client, product, bulk, swaps, goals_met)
    ]
    return "\n\n".join(each for each in tables if each.count("\n") > 1)
