"""The results for people: tables in Markdown, which also read well on a terminal."""

from typing import Any

from goals import Goal, Results, goals

Cells = list[str]


def table(head: Cells, rows: list[Cells]) -> str:
    """A Markdown table, its columns aligned; all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Cells) -> str:
        first = cells[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (it - 1) + ":" for it in widths[1:])]) + " |"
    return "\n".join([line(head), rule, *map(line, rows)])


def number(value: float) -> str:
    """Three digits that matter, thousands set apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ranged(spread: Results) -> str:
    """A median and, in brackets, the least and the greatest."""
    low, high = number(spread["min"]), number(spread["max"])
    return f"{number(spread['median'])} ({low} to {high})"


def contestants(results: Results) -> str:
    """One line for each contestant, the quickest first."""
    rows = []
    for each in quickest_first(results):
        load, start = each["summary"]["load"], each["summary"]["start"]
        memory = each["summary"]["memory"]
        rows.append(
            [
                each["label"],
                each["artifact"],
                ranged(load["8"]["rps"]),
                number(load["8"]["p50"]["median"]),
                number(load["8"]["p99"]["median"]),
                number(load["1"]["p50"]["median"]),
                number(load["1"]["p99"]["median"]),
                number(start["median"]),
                f"{memory['rss']['median']:.0f}",
                f"{memory['pss']['median']:.0f}",
            ]
        )
    head = ["server", "model", "requests/s with 8", "p50 ms", "p99 ms", "p50 ms alone", "p99 ms"]
    return table([*head, "start s", "RSS MB", "PSS MB"], rows)


def short(results: Results) -> str:
    """The same for the README: medians only, and fewer of them."""
    rows = []
    for each in quickest_first(results):
        load, start = each["summary"]["load"], each["summary"]["start"]
        numbers = [load["8"]["rps"], load["8"]["p99"], load["1"]["p50"], start]
        memory = each["summary"]["memory"]["pss"]["median"]
        cells = [*(number(it["median"]) for it in numbers), f"{memory:.0f}"]
        rows.append([each["label"], each["artifact"], *cells])
    head = ["one worker", "model", "requests/s, 8 at a time", "p99 ms", "p50 ms alone"]
    return table([*head, "ready after s", "MB"], rows)


def quickest_first(results: Results) -> list[Results]:
    """The contestants that were not disqualified."""
    found = [each for each in results["contestants"] if "summary" in each]
    return sorted(found, key=lambda each: -each["summary"]["load"]["8"]["rps"]["median"])


def pair(results: Results) -> str:
    """One line for each way to the model and each database."""
    rows = []
    for each in results["pair"]:
        if "summary" in each:
            load = each["summary"]["load"]
            cells = [ranged(load["8"]["rps"]), ranged(load["1"]["rps"])]
            cells += [number(load[of][it]["median"]) for of in "81" for it in ("p50", "p99")]
            rows.append([each["name"], *cells])
    head = ["POST /orders", "requests/s with 8", "alone", "p50 ms with 8", "p99 ms"]
    return table([*head, "p50 ms alone", "p99 ms"], rows)


def bulk(results: Results) -> str:
    """One line for each way to predict many rows."""
    names = {
        "bare": "ONNX Runtime, arrays in memory",
        "infer": "infer, 10,000 rows a request",
        "file": "model predict, 1,000,000 rows, less its start",
        "file with start": "model predict, start and all",
    }
    found = results["bulk"]
    rows = [[text, ranged(found[name])] for name, text in names.items() if name in found]
    return table(["many rows", "rows/s"], rows)


def workers(results: Results) -> str:
    """One line for each number of workers."""
    rows = [
        [f"{count}", *(ranged(memory[it]) for it in ("rss", "pss"))]
        for count, memory in results["workers"].items()
    ]
    return table(["workers", "RSS MB", "PSS MB"], rows)


def aims(found: list[Goal]) -> str:
    """One line for each goal."""
    rows = []
    for goal in found:
        aim = "" if goal.met is None else f"≥ {goal.least:.3g}" if goal.least else ""
        aim = f"≤ {goal.most:.3g}" if goal.most else aim
        verdict = {True: "met", False: "MISSED", None: ""}[goal.met]
        rows.append([goal.what, number(goal.value), aim, verdict])
    return table(["goal", "measured", "aim", ""], rows)


def report(results: Results) -> str:
    """All that was measured."""
    parts: list[Any] = []
    for name, part in {
        "contestants": contestants,
        "workers": workers,
        "pair": pair,
        "bulk": bulk,
    }.items():
        if results.get(name):
            parts.append(part(results))
    if found := goals(results):
        parts.append(aims(found))
    return "\n\n".join(parts)
