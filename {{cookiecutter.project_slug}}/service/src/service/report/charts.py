"""Data to inline SVG: the same data, the same bytes; whatever text is in it is escaped.

A drawing has no text but its title: the page sets the rest around it, and stretches it to its
place. Colours come from the page's style sheet, by class.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from markupsafe import Markup

WIDTH, HEIGHT = 1000, 300
Point = tuple[float, float, float] | None
"""Low, mean and high; None where there is nothing."""

SVG = Markup(
    '<svg role="img" viewBox="0 0 1000 300" preserveAspectRatio="none"><title>{}</title>{}</svg>'
)
PATH = Markup('<path class="{}" d="{}"/>')
BAR = Markup('<path class="{}" d="M{},300V{}h{}V300Z"><title>{}</title></path>')


def flat(values: Iterable[float | None]) -> list[Point]:
    """Points without an interval."""
    return [None if value is None else (value, value, value) for value in values]


def _y(value: float, top: float, low: float = 0.0) -> int:
    return round(HEIGHT * (1 - min((value - low) / (top - low or 1), 1)))


def _line(points: Iterable[tuple[int, int]]) -> str:
    return "M" + "L".join(f"{x},{y}" for x, y in points)


def top_of(series: Iterable[Iterable[Point]], mark: float = 0) -> float:
    """A value for the upper margin, above all means and the mark."""
    return 1.3 * max([mark, *(point[1] for points in series for point in points if point)]) or 1


def lines(title: str, series: Sequence[Sequence[Point]], top: float, mark: float = 0) -> Markup:
    """Means as lines over time, each with its interval as a band; dashed, a mark to compare with.

    Args:
        series: what to draw for each step of time; lines break where there is nothing.
        top: the value at the upper margin; the lower one is 0.
    """
    body = [PATH.format("mark", f"M0,{_y(mark, top)}H{WIDTH}")] if mark else []
    for number, points in enumerate(series):
        step = WIDTH / max(len(points), 1)
        placed = [(round((at + 0.5) * step), point) for at, point in enumerate(points)]
        for missing, run in groupby(placed, lambda each: each[1] is None):
            if not missing:
                there = [[(x, _y(each, top)) for each in point] for x, point in run if point]
                low, mean, high = zip(*there, strict=True)
                body.append(PATH.format(f"band s{number}", _line([*low, *high[::-1]]) + "Z"))
                body.append(PATH.format(f"line s{number}", _line(mean) + "h0"))  # or one is no dot
    return SVG.format(title, Markup().join(body))


def columns(title: str, stacks: Sequence[Sequence[float]], top: float) -> Markup:
    """Stacked columns, one for each step of time."""
    step, paths = WIDTH / max(len(stacks), 1), [""] * max(map(len, stacks), default=0)
    for at, stack in enumerate(stacks):
        base = 0.0
        for number, value in enumerate(stack):
            left, right = round(at * step + 1), round((at + 1) * step - 1)
            low, high = _y(base, top), _y(base + value, top)
            paths[number] += f"M{left},{low}V{high}H{right}V{low}Z" if low > high else ""
            base += value
    body = (PATH.format(f"fill s{number}", path) for number, path in enumerate(paths))
    return SVG.format(title, Markup().join(body))


def pairs(title: str, bins: Sequence[tuple[str, float, float]]) -> Markup:
    """For each bin, by name, its share in training and, before it, its share now."""
    top = max((max(old, new) for _, old, new in bins), default=1)
    body, step = [], WIDTH / max(len(bins), 1)
    for at, (name, old, new) in enumerate(bins):
        told = f"{name}: training {100 * old:.1f} %, now {100 * new:.1f} %"
        for kind, share, inset in (("old", old, 0.06), ("new", new, 0.24)):
            left, wide = round((at + inset) * step), round((1 - 2 * inset) * step)
            body.append(BAR.format(kind, left, _y(share, top), wide, told))
    return SVG.format(title, Markup().join(body))


def dots(title: str, points: Sequence[tuple[float, float, float, float]]) -> Markup:
    """What was expected, across, and low, mean and high of what came of it, on the same scale."""
    bottom, top = min(map(min, points), default=0), max(map(max, points), default=1)
    body = [PATH.format("mark", f"M0,{HEIGHT}L{WIDTH},0")]
    for value, *others in points:
        x = round(WIDTH * (value - bottom) / (top - bottom or 1))
        low, mean, high = (_y(each, top, bottom) for each in others)
        body += [PATH.format("whisker", f"M{x},{low}V{high}"), PATH.format("dot", f"M{x},{mean}h0")]
    return SVG.format(title, Markup().join(body))
