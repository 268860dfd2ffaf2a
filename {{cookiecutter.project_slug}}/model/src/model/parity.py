"""The gate before a compiled model: it must answer as scikit-learn does, or it is not used.

Both answer every row of the history (of a long one 200,000), and rows made for where conversions go
wrong: on both sides of the splits of trees, missing values, categories that were never seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from contract import FEATURES, Column
from model.answer import Answer, Array, arrays_of, rows_of
from model.engine import TOLERANCE, Predictor
from model.errors import ModelError
from model.history import History

MOST_ROWS = 200_000
AT_A_TIME = 20_000
PROBES = 1_024
"""Rows that look for jumps of the prediction along one feature, shared by all features."""
SPLITS = 4_096
"""Split thresholds that are tried, shared by all features."""

Rows = dict[str, Array]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NUMBERS = [each for each in FEATURES if each.datatype in ("FP64", "INT64")]


class Mismatch(ModelError):
    """The compiled model does not answer as the reference does; says where and by how much."""


@dataclass(frozen=True)
class Proof:
    """What was compared.

    Attributes:
        rows: how many rows.
        worst: the largest relative error among them.
    """

    rows: int
    worst: float


def prove(reference: Predictor, compiled: Predictor, graph: bytes, history: History) -> Proof:
    """Compare the two.

    Args:
        reference: what is right.
        compiled: what is to be proven.
        graph: the ONNX model behind it, whose split thresholds are tried.
        history: the rows to compare on, and to make others of.

    Raises:
        Mismatch: they differ by more than the tolerance, or in a class.
    """
    chosen = np.linspace(0, len(history) - 1, min(len(history), MOST_ROWS)).astype(np.intp)
    known = {name: values[chosen] for name, values in arrays_of(history.columns).items()}
    rows, worst = 0, 0.0
    for kind, part in _parts(reference, known, thresholds_of(graph)):
        error = relative_error(compiled.predict(part), reference.predict(part))
        rows += len(error)
        worst = max(worst, float(error.max(initial=0.0)))
        if worst > TOLERANCE:
            first = int(np.argmax(error > TOLERANCE))
            row = {name: values.item(first) for name, values in part.items()}
            raise Mismatch(
                f"its answers differ from scikit-learn's by up to {error.max():.2g} of their value"
                f" on {(error > TOLERANCE).sum()} of {len(error)} {kind}, such as {row}"
            )
    return Proof(rows, worst)


def relative_error(answer: Answer, expected: Answer) -> Floats:
    """How far each row's answer is off, [rows]: infinite for another class, or for no number.

    Differences are told relative to the expected number; where that is almost zero, to the 10⁻⁷
    part of the largest one, of which a float32 knows no more.
    """
    numbers, right = (
        each.values[:, None] if each.probabilities is None else each.probabilities
        for each in (answer, expected)
    )
    if numbers.shape != right.shape:
        return np.full(len(right), np.inf)
    scale = np.abs(right, where=np.isfinite(right), out=np.zeros_like(right))
    floor = 1e-7 * scale.max(initial=0.0)
    with np.errstate(all="ignore"):
        error = np.abs(numbers - right) / np.maximum(scale, max(floor, np.finfo(float).tiny))
    error[~np.isfinite(right)] = 0.0  # scikit-learn's own fault, and refused by the engine
    error[~np.isfinite(numbers) & np.isfinite(right)] = np.inf
    if expected.probabilities is not None:
        error[answer.values != expected.values] = np.inf
    worst: Floats = error.max(axis=1)
    return worst


def thresholds_of(graph: bytes) -> Floats:
    """The numbers that the trees of an ONNX model compare with, ascending."""
    found = [np.empty(0)]
    for node in onnx.load_from_string(graph).graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values_as_tensor":
                found.append(onnx.numpy_helper.to_array(attribute.t))
            elif attribute.name == "nodes_values":
                found.append(np.array(attribute.floats))
    return np.unique(np.concatenate(found))


def _parts(reference: Predictor, known: Rows, thresholds: Floats) -> Iterator[tuple[str, Rows]]:
    """What to compare on, in parts, and what kind of rows each part holds."""
    total = rows_of(known)
    for start in range(0, total, AT_A_TIME):
        part = {name: values[start : start + AT_A_TIME] for name, values in known.items()}
        yield "rows of the history", part
    optional = [each for each in FEATURES if each.optional]
    missing = {each.name: "" if each.datatype == "BYTES" else np.nan for each in optional}
    yield "rows with missing values", _replaced(known, missing)
    unseen = {each.name: "never seen" for each in FEATURES if each.datatype == "BYTES"}
    yield "rows with categories that were never seen", _replaced(known, unseen)
    yield "rows at the splits of trees", _at_splits(known, thresholds)
    yield "rows at jumps of the prediction", _at_jumps(reference, known)


def _replaced(known: Rows, values: Mapping[str, Any]) -> Rows:
    """Rows of the history with each of these values in turn, and with all of them at once."""
    base = _drawn(known, 64)
    sets = [{}, *({name: value} for name, value in values.items()), values]
    filled = [
        {name: np.full_like(base[name], value) for name, value in one.items()} for one in sets
    ]
    return _joined([base | each for each in filled])


def _at_splits(known: Rows, thresholds: Floats) -> Rows:
    """Rows that hold, in one feature, the number of a split, and the ones next below and above."""
    parts = [_drawn(known, 1)]
    for each in NUMBERS:
        present = _present(known, each)
        inside = thresholds[(thresholds >= present.min()) & (thresholds <= present.max())]
        inside = inside[:: 1 + len(inside) * len(NUMBERS) // SPLITS]
        if each.datatype == "FP64":
            beside = [np.nextafter(inside, -np.inf), inside, np.nextafter(inside, np.inf)]
        else:
            beside = [np.ceil(inside) - 1, np.ceil(inside), np.ceil(inside) + 1]
        values = np.concatenate(beside)
        # The other features decide which way down a tree a row takes: several rows for each split.
        parts += [_drawn(known, len(values), seed) | {each.name: values} for seed in range(4)]
    return _joined(parts)


def _at_jumps(reference: Predictor, known: Rows) -> Rows:
    """Rows on both sides of where the reference's answer changes along one feature.

    Found by halving the way between two numbers whose answers differ, down to neighbours. So
    nothing must be known of the pipeline, which may well scale a feature before it splits on it.
    """
    if not NUMBERS:
        return _drawn(known, 1)
    low, high, owner = [], [], []
    for number, each in enumerate(NUMBERS):
        steps = np.linspace(0, 1, 1 + max(PROBES // len(NUMBERS), 8))
        edges = _ordinals(
            np.unique(np.quantile(_present(known, each), steps, method="nearest")), each
        )
        low.append(edges[:-1])
        high.append(edges[1:])
        owner.append(np.full(len(edges) - 1, number))
    below, above, owners = map(np.concatenate, (low, high, owner))
    base = _drawn(known, len(owners))

    def rows(ordinals: Integers) -> Rows:
        placed = dict(base)
        for number, each in enumerate(NUMBERS):
            values = _values(ordinals, each)
            placed[each.name] = np.where(owners == number, values, base[each.name])
        return placed

    if not len(owners):
        return base
    start = reference.predict(rows(below))
    while (below + 1 < above).any():
        middle = (below >> 1) + (above >> 1) + (below & above & 1)
        same = relative_error(reference.predict(rows(middle)), start) == 0
        below, above = np.where(same, middle, below), np.where(same, above, middle)
    return _joined([rows(below - 1), rows(below), rows(above)])


def _ordinals(values: Floats, column: Column) -> Integers:
    """The numbers as integers that keep their order, with nothing in between two neighbours."""
    if column.datatype == "INT64":
        return values.astype(np.int64)
    bits = values.view(np.int64)
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def _values(ordinals: Integers, column: Column) -> Floats:
    """The numbers that `_ordinals` made these of."""
    if column.datatype == "INT64":
        return ordinals.astype(np.float64)
    bits = np.where(ordinals < 0, np.iinfo(np.int64).min - ordinals, ordinals)
    return bits.view(np.float64)


def _present(known: Rows, column: Column) -> Floats:
    """The values of a column where there are any; of one without any, a zero."""
    values = known[column.name]
    present = values[~np.isnan(values)]
    return present if len(present) else np.zeros(1)


def _drawn(known: Rows, count: int, seed: int = 0) -> Rows:
    """Some rows of the history, always the same."""
    chosen = np.random.default_rng(seed).integers(rows_of(known), size=count)
    return {name: values[chosen] for name, values in known.items()}


def _joined(parts: list[Rows]) -> Rows:
    return {each.name: np.concatenate([part[each.name] for part in parts]) for each in FEATURES}
