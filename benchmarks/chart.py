"""Draws chart.svg: requests a second of all servers of the same model.

The colours have enough contrast on white and on black, since a picture in a README does not know
which of the two is behind it.
"""

import textwrap
from html import escape

from results import P99, RPS, Results, fastest_first, median_of, spread_of
from servers import COMPILED, SKLEARN
from tables import number

WIDTH, LABEL_WIDTH, BAR_WIDTH, ROW_HEIGHT = 880, 232, 400, 27
OUR_COLOR, PEER_COLOR, TEXT_COLOR = "#2f81f7", "#b1bac4", "#737d88"
HEADINGS = {
    COMPILED: "the same compiled model, in each",
    SKLEARN: "the same scikit-learn pipeline, in each",
}
STYLE = "font-family: -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px"


def text(x: float, y: float, content: str, **attributes: str) -> str:
    """One line of text."""
    more = "".join(f' {name.replace("_", "-")}="{it}"' for name, it in attributes.items())
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(content)}</text>'


def bar(server: Results, y: float, scale: float) -> list[str]:
    """One server: its label, its bar, the spread over the rounds, its numbers."""
    rps = spread_of(server, RPS)
    middle, length = y + ROW_HEIGHT / 2, rps["median"] * scale
    low, high = LABEL_WIDTH + rps["min"] * scale, LABEL_WIDTH + rps["max"] * scale
    color = OUR_COLOR if server["ours"] else PEER_COLOR
    weight = {"font_weight": "600"} if server["ours"] else {}
    numbers = f"{number(rps['median'])}/s, p99 {number(median_of(server, P99))} ms"
    return [
        text(LABEL_WIDTH - 8, middle + 4.5, server["label"], text_anchor="end", **weight),
        f'<rect x="{LABEL_WIDTH}" y="{y + 4:g}" width="{length:.1f}" height="{ROW_HEIGHT - 8}"'
        f' rx="2" fill="{color}"/>',
        f'<path d="M{low:.1f} {middle:g}H{high:.1f}M{low:.1f} {middle - 4:g}v8M{high:.1f}'
        f' {middle - 4:g}v8" stroke="{TEXT_COLOR}" stroke-width="1.5" fill="none"/>',
        text(max(high, LABEL_WIDTH + length) + 8, middle + 4.5, numbers, **weight),
    ]


def caption(results: Results) -> list[str]:
    """How it was measured, on what, when and with which versions."""
    machine, settings = results["machine"], results["settings"]
    versions = {" ".join(it) for each in results["servers"] for it in each["versions"].items()}
    lines = (
        "Requests a second: one row each, 8 keep-alive connections, one worker; median of"
        f" {settings['rounds']} rounds of {settings['seconds']} s, with the least and the greatest."
        f" {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python"
        f" {machine['python']}, {machine['date']}. {', '.join(sorted(versions))}."
    )
    return textwrap.wrap(lines, 135)


def draw(results: Results) -> str:
    """The chart, as SVG."""
    servers = fastest_first(results)
    scale = BAR_WIDTH / max(spread_of(each, RPS)["max"] for each in servers)
    parts, y = [], 6.0
    for model, heading in HEADINGS.items():
        group = [each for each in servers if each["model"] == model]
        if group:
            parts.append(text(LABEL_WIDTH, y + 17, heading, font_weight="600"))
            y += 26
        for each in group:
            parts += bar(each, y, scale)
            y += ROW_HEIGHT
        y += 8
    for line in caption(results):
        y += 15
        parts.append(text(8, y, line, font_size="11px", fill=TEXT_COLOR))
    height = y + 12
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"'
            f' width="{WIDTH}" height="{height:g}" role="img" style="{STYLE}" fill="{TEXT_COLOR}">',
            "<title>Requests per second of model servers, one worker each</title>",
            *parts,
            "</svg>\n",
        ]
    )
