"""What it costs not to train: how wrong versions of different ages are on the rows of today."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from model.artifacts.store import Store
from model.artifacts.verification import verify
from model.errors import ModelError
from model.training.history import History
from model.training.intervals import difference
from model.training.losses import Losses, errors_of, new_rows, predictions_of
from model.training.outliers import reject_outliers

VERSIONS = 8
"""The latest versions are compared,"""
ROWS = 2_000
"""on the latest rows, of which each takes those that came after its training."""


def aging(store: Store, history: History, keys: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """The error of each version, oldest first, as the report shows it.

    It is the absolute error, or the share of wrong answers. A version that cannot predict them any
    more, or after whose training fewer than two rows came, is left out. Beside its error is that of
    each version before it on the very same rows, if they are new to both.
    """
    latest = reject_outliers(history)[0].latest(ROWS)
    found: list[dict[str, Any]] = []
    known: dict[str, Losses] = {}
    for manifest in store.versions()[0][-VERSIONS:]:
        try:
            artifact = verify(store.folder(manifest.version), keys)
            rows = new_rows(artifact, latest)
            if not len(rows):
                continue
            part = latest.part(rows)
            predicted = predictions_of(artifact, part).values
        except ModelError:
            continue
        errors = errors_of(predicted, part.targets)
        if interval := difference(errors, np.zeros(len(errors))):
            beside = {name: float(each[rows].mean()) for name, each in known.items()}
            known[manifest.version] = np.full(len(latest), np.nan)
            known[manifest.version][rows] = errors
            age = (datetime.now(UTC) - manifest.created_at).total_seconds() / 86_400
            found.append(
                {
                    "version": manifest.version,
                    "age_days": round(age, 1),
                    "rows": len(rows),
                    "error": interval.mean,
                    "low": max(interval.low, 0.0),
                    "high": interval.high,
                    "beside": {name: each for name, each in beside.items() if isfinite(each)},
                }
            )
    return found
