"""Draws chart.svg from results.json: requests a second of everyone who served the same model.

The colours have enough contrast on white and on black, since a picture in a README is not told
which of the two is behind it.
"""

import json
import textwrap
from html import escape
from typing import Any

from contestants import COMPILED, SKLEARN
from places import CHART, RESULTS
from table import number

WIDTH, LABELS, BARS, ROW = 880, 232, 400, 27
OURS, PEER, TEXT = "#2f81f7", "#b1bac4", "#737d88"
HEADINGS = {
    COMPILED: "the same compiled model, in each",
    SKLEARN: "the same scikit-learn pipeline, in each",
}
STYLE = "font-family: -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px"


def text(x: float, y: float, content: str, **attributes: str) -> str:
    """One line of text."""
    more = "".join(f' {name.replace("_", "-")}="{it}"' for name, it in attributes.items())
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(content)}</text>'


def bar(contestant: dict[str, Any], y: float, scale: float) -> list[str]:
    """One contestant: its name, its bar, the spread over the rounds, its numbers."""
    load = contestant["summary"]["load"]["8"]
    rps, p99 = load["rps"], load["p99"]["median"]
    middle, length = y + ROW / 2, rps["median"] * scale
    low, high = LABELS + rps["min"] * scale, LABELS + rps["max"] * scale
    color = OURS if contestant["ours"] else PEER
    weight = {"font_weight": "600"} if contestant["ours"] else {}
    numbers = f"{number(rps['median'])}/s, p99 {number(p99)} ms"
    return [
        text(LABELS - 8, middle + 4.5, contestant["label"], text_anchor="end", **weight),
        f'<rect x="{LABELS}" y="{y + 4:g}" width="{length:.1f}" height="{ROW - 8}" rx="2"'
        f' fill="{color}"/>',
        f'<path d="M{low:.1f} {middle:g}H{high:.1f}M{low:.1f} {middle - 4:g}v8M{high:.1f}'
        f' {middle - 4:g}v8" stroke="{TEXT}" stroke-width="1.5" fill="none"/>',
        text(max(high, LABELS + length) + 8, middle + 4.5, numbers, **weight),
    ]


def caption(results: dict[str, Any]) -> list[str]:
    """How it was measured, on what, when and with which versions."""
    machine, settings = results["machine"], results["settings"]
    found = {
        f"{name} {version}"
        for each in results["contestants"]
        for name, version in each["versions"].items()
    }
    told = (
        "Requests a second: one row each, 8 keep-alive connections, one worker; median of"
        f" {settings['rounds']} rounds of {settings['seconds']} s, with the least and the greatest."
        f" {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python"
        f" {machine['python']}, {machine['date']}. {', '.join(sorted(found))}."
    )
    return textwrap.wrap(told, 135)


def draw(results: dict[str, Any]) -> str:
    """The chart, as SVG."""
    found = [each for each in results["contestants"] if "summary" in each]
    speed = {each["name"]: each["summary"]["load"]["8"]["rps"] for each in found}
    scale = BARS / max(each["max"] for each in speed.values())
    parts, y = [], 6.0
    for artifact, heading in HEADINGS.items():
        group = [each for each in found if each["artifact"] == artifact]
        if group:
            parts.append(text(LABELS, y + 17, heading, font_weight="600"))
            y += 26
        for each in sorted(group, key=lambda each: -speed[each["name"]]["median"]):
            parts += bar(each, y, scale)
            y += ROW
        y += 8
    for line in caption(results):
        y += 15
        parts.append(text(8, y, line, font_size="11px", fill=TEXT))
    height = y + 12
    title = "Requests per second of model servers, one worker each"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"'
            f' width="{WIDTH}" height="{height:g}" role="img" style="{STYLE}" fill="{TEXT}">',
            f"<title>{title}</title>",
            *parts,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Draw it."""
    CHART.write_text(draw(json.loads(RESULTS.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
