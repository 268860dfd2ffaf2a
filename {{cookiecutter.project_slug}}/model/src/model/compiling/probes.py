"""The rows on which a compiled model is compared: where conversions are known to go wrong."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import FEATURES, Column
from contract.timezone import TIMEZONE
from model.columns import Array, row_count
from model.engines.loading import Engine
from model.moments import YEARS, offsets_of

HISTORY_ROWS = 200_000
PART_ROWS = 20_000
JUMPS = 1_024
"""Places at which a jump of the prediction is looked for, shared by all features."""
SPLITS = 4_096
"""Split thresholds that are tried, shared by all features."""

Rows = Mapping[str, Array]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NUMBERS = [each for each in FEATURES if each.kind in ("float", "int", "datetime")]
MOMENTS = [each for each in FEATURES if each.kind == "datetime"]


def probe_rows(reference: Engine, history: Rows, thresholds: Floats) -> Iterator[tuple[str, Rows]]:
    """Rows in parts, each with what it holds: those that the reference was fitted to, and others.

    The thresholds are the numbers that its trees compare with.
    """
    total = row_count(history)
    chosen = np.linspace(0, total - 1, min(total, HISTORY_ROWS)).astype(np.intp)
    rows = {name: values[chosen] for name, values in history.items()}
    for start in range(0, len(chosen), PART_ROWS):
        part = {name: values[start : start + PART_ROWS] for name, values in rows.items()}
        yield "rows of the history", part
    optional = [each for each in FEATURES if each.optional]
    missing = {each.name: "" if each.kind == "category" else np.nan for each in optional}
    yield "rows with missing values", _replaced(rows, missing)
    unseen = {each.name: "never seen" for each in FEATURES if each.kind == "category"}
    yield "rows with categories that were never seen", _replaced(rows, unseen)
    yield "rows at the splits of trees", _at_splits(rows, thresholds)
    yield "rows at jumps of the prediction", _at_jumps(reference, rows)
    yield "rows where days, years and offsets begin", _at_turns(rows)


def _replaced(rows: Rows, values: Mapping[str, Any]) -> Rows:
    """Rows of the history with each of these values in turn, and with all of them at once."""
    base = _drawn(rows, 64)
    sets = [{}, *({name: value} for name, value in values.items()), values]
    filled = ({name: np.full_like(base[name], one[name]) for name in one} for one in sets)
    return _joined([{**base, **columns} for columns in filled])


def _at_splits(rows: Rows, thresholds: Floats) -> Rows:
    """Rows that hold, in one feature, the number of a split, and the ones next below and above."""
    parts = [_drawn(rows, 1)]
    for each in NUMBERS:
        present = _present(rows, each)
        inside = thresholds[(thresholds >= present.min()) & (thresholds <= present.max())]
        inside = inside[:: 1 + len(inside) * len(NUMBERS) // SPLITS]
        if each.kind != "int":
            beside = [np.nextafter(inside, -np.inf), inside, np.nextafter(inside, np.inf)]
        else:
            beside = [np.ceil(inside) - 1, np.ceil(inside), np.ceil(inside) + 1]
        values = np.concatenate(beside)
        # The other features decide which way down a tree a row takes: several rows for each split.
        parts += [{**_drawn(rows, len(values), seed), each.name: values} for seed in range(4)]
    return _joined(parts)


def _at_jumps(reference: Engine, rows: Rows) -> Rows:
    """Rows on both sides of where the reference's prediction changes along one feature.

    Found by halving the way between two numbers whose predictions differ, down to neighbours. So
    nothing must be known of the pipeline, which may well scale a feature before it splits on it.
    """
    edges = [_edges(rows, each) for each in NUMBERS]
    owner = np.repeat(np.arange(len(edges)), [len(each) - 1 for each in edges])
    if not len(owner):
        return _drawn(rows, 1)
    base = _drawn(rows, len(owner))
    below = np.concatenate([each[:-1] for each in edges])
    above = np.concatenate([each[1:] for each in edges])

    def place(ordinals: Integers) -> Rows:
        placed, numbers = dict(base), _mirrored(ordinals).view(np.float64)
        for number, each in enumerate(NUMBERS):
            values = np.floor(numbers) if each.kind == "int" else numbers
            placed[each.name] = np.where(owner == number, values, base[each.name])
        return placed

    start = reference.predict(place(below)).numbers
    while (below + 1 < above).any():
        middle = (below >> 1) + (above >> 1) + (below & above & 1)
        same = (reference.predict(place(middle)).numbers == start).all(axis=1)
        below, above = np.where(same, middle, below), np.where(same, above, middle)
    return _joined([place(below - 1), place(below), place(above)])


def _at_turns(rows: Rows) -> Rows:
    """Rows on both sides of the moments at which the clocks and the calendar turn."""
    turns, offsets = offsets_of(TIMEZONE.key)
    local = [datetime(year, month, 1, tzinfo=UTC) for year in range(*YEARS) for month in (1, 3, 12)]
    begins = np.array([each.timestamp() for each in local])
    begins -= offsets[np.searchsorted(turns, begins, side="right")]
    around = np.concatenate([turns, begins])
    values = np.concatenate([around - 1, np.nextafter(around, -np.inf), around, around + 1])
    base = _drawn(rows, len(values) if MOMENTS else 1)
    return _joined([{**base, each.name: values} for each in MOMENTS] or [base])


def _edges(rows: Rows, column: Column) -> Integers:
    """Numbers of the history between which jumps are looked for, as ordinals."""
    shares = np.linspace(0, 1, 1 + max(JUMPS // len(NUMBERS), 8))
    quantiles = np.quantile(_present(rows, column), shares, method="nearest")
    return _mirrored(np.unique(quantiles).view(np.int64))


def _mirrored(bits: Integers) -> Integers:
    """The bits of numbers as ordinals, which keep their order without a gap; and back again."""
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def _present(rows: Rows, column: Column) -> Floats:
    """The values of a column where there are any; of one without any, a zero."""
    values = rows[column.name]
    present = values[~np.isnan(values)]
    return present if len(present) else np.zeros(1)


def _drawn(rows: Rows, count: int, seed: int = 0) -> Rows:
    """Some rows of the history, always the same."""
    chosen = np.random.default_rng(seed).integers(row_count(rows), size=count)
    return {name: values[chosen] for name, values in rows.items()}


def _joined(parts: list[Rows]) -> Rows:
    return {each.name: np.concatenate([part[each.name] for part in parts]) for each in FEATURES}
