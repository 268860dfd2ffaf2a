"""Writes docs/menu.md, menu.json and menu.svg from what `make menu` measured."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from chart import STYLE, TEXT_COLOR, text
from paths import BUILD, TEMPLATE
from tables import number

DOCS = TEMPLATE / "docs"
NUMBERS = DOCS / "menu.json"
TEXT = TEMPLATE / "benchmarks" / "menu.md"
"""The page without its tables: {measured} and {judged} stand where they go."""
COLORS = ("#2f81f7", "#b1bac4")
"""Of the pair itself, and of the others."""
OURS = "socket"
LABEL, BAR, GAP, ROW = 250, 230, 70, 24
COLUMNS = {
    "one_row_ms": "one row, ms",
    "rows_per_second": "rows/s",
    "start_seconds": "start, s",
    "memory_mb": "memory, MB",
    "shipped_mb": "shipped, MB",
}
About = Mapping[str, Mapping[str, Any]]
Results = Mapping[str, Any]


def write(results: Results, about: About, *, whole: bool) -> None:
    """Publish a whole run in docs/; of a part only the numbers, in build/."""
    numbers = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    if not whole:
        (BUILD / "menu.json").write_text(numbers, "utf-8")
        return
    NUMBERS.write_text(numbers, "utf-8")
    (DOCS / "menu.svg").write_text(draw(results, about), "utf-8")
    (DOCS / "menu.md").write_text(page(results, about), "utf-8")


def page(results: Results, about: About) -> str:
    """The page: its text with both tables in it."""
    machine = results["machine"]
    where = (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Linux"
        f" {machine['kernel']}, Python {machine['python']}; medians of {results['rounds']} rounds"
    )
    filled = {"measured": measured(results, about), "judged": judged(about), "where": where}
    page = TEXT.read_text("utf-8")
    for name, content in filled.items():
        page = page.replace(f"{{{name}}}", content)
    return page


def measured(results: Results, about: About) -> str:
    """A line of numbers for each deployment."""
    rows = []
    for name, each in results["deployments"].items():
        cells = [cell(each.get(key)) for key in COLUMNS]
        rows.append([about[name]["title"], about[name]["how"], *cells, number(each["lines"])])
    head = ["deployment", "how", *COLUMNS.values(), "lines a team owns"]
    return table(head, rows, numbers=len(COLUMNS) + 1)


def judged(about: About) -> str:
    """What goes wrong, who hears of it, how a new version comes, when to choose what."""
    keys = ("title", "fails", "paged", "update", "choose", "avoid")
    rows = [[each[key] for key in keys] for each in about.values()]
    head = ["deployment", "when the model fails, so does", "who is paged"]
    head += ["how a new version gets there", "choose it when", "and not when"]
    return table(head, rows)


def cell(spread: Any) -> str:
    """A median; nothing where nothing was measured."""
    return number(spread["median"]) if isinstance(spread, dict) else ""


def table(head: list[str], rows: Iterable[list[str]], numbers: int = 0) -> str:
    """A table in Markdown; the last columns are numbers, which stand to the right."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


def draw(results: Results, about: About) -> str:
    """The chart: for each deployment one row's latency and rows a second, on logarithmic scales."""
    found = results["deployments"]
    panels = {"one_row_ms": "one row, ms (less is better)", "rows_per_second": "rows a second"}
    parts, height = [], 34 + ROW * len(found)
    for panel, (key, title) in enumerate(panels.items()):
        left = LABEL + panel * (BAR + GAP)
        medians = {name: it[key]["median"] for name, it in found.items() if it.get(key)}
        if not medians:
            continue
        low, high = (f(map(math.log10, medians.values())) for f in (min, max))
        low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
        parts.append(text(left, 18, title, font_weight="600"))
        for place, name in enumerate(found):
            y = 30 + ROW * place
            if panel == 0:
                weight = {"font_weight": "600"} if name == OURS else {}
                title_ = about[name]["title"]
                parts.append(text(LABEL - 8, y + 14, title_, text_anchor="end", **weight))
            if name in medians:
                length = BAR * max((math.log10(medians[name]) - low) / (high - low), 0.01)
                color = COLORS[name != OURS]
                parts.append(
                    f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{ROW - 8}" rx="2"'
                    f' fill="{color}"/>'
                )
                parts.append(text(left + length + 6, y + 13, number(medians[name])))
    width = LABEL + 2 * (BAR + GAP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" style="{STYLE}" fill="{TEXT_COLOR}">',
            "<title>Latency of one row and rows a second of every deployment</title>",
            *parts,
            "</svg>\n",
        ]
    )
