"""The gate before a compiled model: it must predict as scikit-learn does, or it is not used.

Both predict every row of the history (of a long one 200,000), and rows made for where conversions
go wrong: on both sides of the splits of trees, missing values, categories that were never seen.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from contract import FEATURES
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import Compilation
from model.columns import Array, to_values
from model.compiling.probes import probe_rows
from model.engines.loading import Engine
from model.engines.predictions import Predictions
from model.errors import ModelError

Floats = npt.NDArray[np.float64]


class Mismatch(ModelError):
    """The compiled model does not predict as the reference does; says where and by how much."""


def prove(
    reference: Engine, compiled: Engine, graph: bytes, history: Mapping[str, Array]
) -> Compilation:
    """How well the two agree.

    Args:
        graph: the ONNX model behind it, whose split thresholds are tried.
        history: the rows to compare on, and to make others of.

    Raises:
        Mismatch: they differ by more than the tolerance, or in a class.
    """
    rows, worst = 0, 0.0
    for kind, part in probe_rows(reference, history, thresholds_of(graph)):
        error = relative_error(compiled.predict(part), reference.predict(part))
        rows += len(error)
        worst = max(worst, float(error.max(initial=0.0)))
        if worst > TOLERANCE:
            first = int(np.argmax(error > TOLERANCE))
            row = {name: values.item(first) for name, values in part.items()}
            raise Mismatch(
                f"its predictions differ from scikit-learn's by up to {error.max():.2g} of their"
                f" value on {(error > TOLERANCE).sum()} of {len(error)} {kind}, such as {row}"
            )
    return Compilation(rows=rows, worst=worst)


def parity_rows(
    reference: Engine, graph: bytes | None, history: Mapping[str, Array]
) -> Iterator[dict[str, Any]]:
    """The same rows with what the reference predicts, for whatever else is to predict the same.

    Each has its `features`, null where one is missing, moments as seconds since 1970, and what is
    `expected`. Those for which the reference itself predicts no finite number are left out.
    """
    moments = {each.name for each in FEATURES if each.kind == "datetime"}
    for _, part in probe_rows(reference, history, thresholds_of(graph) if graph else np.empty(0)):
        values = {each.name: to_values(part[each.name], each) for each in FEATURES}
        values |= {name: [None if it != it else it for it in part[name]] for name in moments}
        predictions = reference.predict(part)
        rows, expected = list(zip(*values.values(), strict=True)), predictions.rows()
        for at in np.flatnonzero(np.isfinite(predictions.numbers).all(axis=1)):
            features = dict(zip(values, rows[at], strict=True))
            yield {"features": features, "expected": expected[at]}


def relative_error(predictions: Predictions, expected: Predictions) -> Floats:
    """How far each prediction is off, [rows]: infinite for another class, or for no number.

    Differences are relative to the expected number; where that is almost zero, to the 10⁻⁷ part of
    the largest one, of which a float32 knows no more. If all expected numbers are float32, so was
    what they are sums of: differences are relative to the largest then.
    """
    numbers, right = predictions.numbers, expected.numbers
    if numbers.shape != right.shape:
        return np.full(len(right), np.inf)
    scale = np.abs(right, where=np.isfinite(right), out=np.zeros_like(right))
    single = (scale == scale.astype(np.float32)).all()
    floor = (1.0 if single else 1e-7) * scale.max(initial=0.0)
    with np.errstate(all="ignore"):
        error = np.abs(numbers - right) / np.maximum(scale, max(floor, np.finfo(float).tiny))
    error[~np.isfinite(right)] = 0.0  # scikit-learn's own fault, which `Model.predict` refuses
    error[~np.isfinite(numbers) & np.isfinite(right)] = np.inf
    if expected.probabilities is not None:
        error[predictions.values != expected.values] = np.inf
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
