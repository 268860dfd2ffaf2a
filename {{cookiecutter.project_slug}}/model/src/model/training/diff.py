"""What is different in another version."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from contract import FEATURES
from model.artifacts.manifest import METRIC, Manifest
from model.columns import text_of, to_values
from model.engines.predictions import Predictions
from model.training.history import History

ROWS = 10
"""Rows that are shown, on which two versions differ most."""

Line = tuple[str, str, str]
"""What is compared, and what it is in either version."""


def metrics(one: Manifest, other: Manifest) -> Iterator[Line]:
    """Their metrics, and those of each slice, each by its own judgement."""
    if not (one.evaluation and other.evaluation):
        return
    found = one.evaluation.metrics, other.evaluation.metrics
    for name in (each for each in found[0] if each in found[1]):
        yield name, f"{found[0][name]:.4g}", f"{found[1][name]:.4g}"
    slices = {(each.feature, each.value): each for each in other.evaluation.slices}
    for each in one.evaluation.slices:
        if beside := slices.get((each.feature, each.value)):
            name = f"{METRIC} where {each.feature} is {text_of(each.value) or 'missing'}"
            yield name, f"{each.metrics[METRIC]:.4g}", f"{beside.metrics[METRIC]:.4g}"


def rows(one: Predictions, other: Predictions, history: History) -> Iterator[Line]:
    """The rows of a history on which their predictions differ most."""
    both = one, other
    tables = (pd.DataFrame(each.numbers, columns=[*each.classes] or None) for each in both)
    before, after = next(tables).align(next(tables), fill_value=0.0)  # classes come and go
    apart = (before - after).abs().sum(axis=1).to_numpy()
    for row in np.argsort(-apart, kind="stable")[:ROWS]:
        if apart[row]:
            part = history.part(np.array([row]))
            cells = (
                f"{each.name}={text_of(to_values(part.columns[each.name], each)[0])}"
                for each in FEATURES
            )
            was, is_now = (f"{text_of(each.values.item(row)):.12}" for each in both)
            yield f"row {row + 1}: {' '.join(cells)}", was, is_now
