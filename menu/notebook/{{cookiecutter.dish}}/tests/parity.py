"""Runs in the notebook's own process, after its last cell."""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from contract import FEATURES, TARGET
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import MODEL_FILE
from model.columns import Array
from model.compiling.parity import relative_error
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine, to_frame

ROWS = Path(__file__).parent.parent / "build/parity.jsonl"


def check(folder: Path, version: Model, reference: SklearnEngine) -> int:
    """Hold what the notebook has loaded to all parity rows; how many they are."""
    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]
    arrays: dict[str, Array] = {}
    for each in FEATURES:
        values = [row["features"][each.name] for row in rows]
        if each.kind == "category":
            arrays[each.name] = np.array([value or "" for value in values], object)
        else:
            arrays[each.name] = np.array(values, np.float64)
    loaded, expected = reference.predict(arrays), _expected([row["expected"] for row in rows])
    plain = joblib.load(folder / MODEL_FILE)
    ask = plain.predict if TARGET.kind == "float" else plain.predict_proba
    assert np.array_equal(loaded.numbers.ravel(), ask(to_frame(arrays)).ravel())
    assert [*loaded.classes] == [*expected.classes]
    for predictions in (loaded, version.engine.predict(arrays)):
        assert relative_error(predictions, expected).max() <= TOLERANCE
    return len(rows)


def _expected(rows: list[dict[str, Any]]) -> Predictions:
    values = [row[TARGET.name] for row in rows]
    if TARGET.kind == "float":
        return Predictions(np.array(values))
    classes = list(rows[0]["probabilities"])
    shares = np.array([list(row["probabilities"].values()) for row in rows])
    kind = object if TARGET.kind == "category" else None
    return Predictions(np.array(values, kind), classes, shares)
