"""Which of two versions predicted better what the product was asked, by what happened."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contract import FEATURES, TARGET
from contract.names import beside
from contract.types import KINDS
from model.artifacts.manifest import METRIC, TASK
from model.columns import text_of
from model.errors import explained
from model.training.intervals import difference

NAMES = ("{{ cookiecutter.entity }}_id", "served_by", "model_version")
KEY, SERVED_BY, VERSION = (beside(name, [each.name for each in FEATURES]) for name in NAMES)
"""The columns with the number of what a prediction is about, who served it, and its version."""

LEAST_ROWS = 30
"""With fewer rows of either there is no telling."""

Losses = dict[str, float]
"""The loss of each prediction, by what it is about; their mean is the METRIC."""


def compare(path: Path, one: str, other: str) -> str:
    """Which version is better on the rows that both predicted, or else on those that each did.

    Returns:
        The words, with the evidence; other words where there is too little of it.

    Raises:
        ModelError: the file cannot be read, or is no export.
    """
    losses = read_losses(path, one, other)
    both = sorted(losses[one].keys() & losses[other].keys())
    paired = len(both) >= LEAST_ROWS
    a, b = (
        np.array([each[row] for row in (both if paired else each)])
        for each in (losses[one], losses[other])
    )
    found = difference(a, b, paired=paired)
    if found is None or min(len(a), len(b)) < LEAST_ROWS:
        counts = f"{len(a)} rows of {one} and {len(b)} of {other}"
        return f"too little to tell: {counts}; {LEAST_ROWS} of each is least"
    verdict = f"{other if found.mean > 0 else one} is better"
    if found.low <= 0 <= found.high:
        verdict = "no telling yet"
    means = f"{METRIC} {a.mean():.4g} of {one} and {b.mean():.4g} of {other}"
    rows = f"{len(a)} rows of both" if paired else f"{len(a)} and {len(b)} rows"
    limits = f"95 % interval {found.low:.3g} to {found.high:.3g}"
    return f"{verdict}: {means}, on {rows}; the difference is {found.mean:.3g} ({limits})"


def read_losses(path: Path, *versions: str) -> dict[str, Losses]:
    """The losses of these versions, of what they predicted themselves: not of fallbacks.

    Raises:
        ModelError: the file cannot be read, or is no export.
    """
    losses: dict[str, Losses] = {each: {} for each in versions}
    with explained(path), path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {KEY, SERVED_BY, VERSION, TARGET.name} - {*(rows.fieldnames or ())}:
            fault = f"{', '.join(sorted(missing))} is missing"
            raise ValueError(f"{fault}; write it with `service export --shadows`")
        for row in rows:
            if row[VERSION] in losses and row[SERVED_BY] in ("model", "shadow"):
                losses[row[VERSION]][row[KEY]] = _loss(row)
    return losses


def _loss(row: Mapping[str, str]) -> float:
    """The absolute error, or minus the logarithm of the probability of what happened."""
    happened = KINDS[TARGET.kind].parse(row[TARGET.name])
    if TASK == "regression":
        return abs(float(row[f"expected_{TARGET.name}"]) - float(happened))
    given = json.loads(row["probabilities"]).get(text_of(happened), 0.0)
    return float(-np.log(np.clip(given, np.finfo(np.float64).eps, 1.0)))
