"""What must hold for whatever `build_pipeline` in `model/pipeline.py` returns.

It learns from rows of the history, since a pipeline may be right for these alone.
"""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from conftest import make_store
from sklearn.base import clone

from contract import FEATURES
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import MODEL_FILE
from model.columns import to_arrays, to_values
from model.engines.loading import Model
from model.pipeline import build_pipeline
from model.training.fitting import fit
from model.training.history import History, read_history

HISTORY = Path(__file__).parents[2] / "data/history.csv"
ROWS = 300
FEWEST = 20
"""A class of fewer rows is left out: what folds its rows needs some in each fold."""
# An estimator may warn: that it did not converge, that it was given an array without names.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def history() -> History:
    """Rows of the history, from its first to its last."""
    whole = read_history(HISTORY)
    sample = whole.part(np.linspace(0, len(whole) - 1, min(len(whole), ROWS)).astype(np.intp))
    counts = Counter(sample.targets)
    often = [not whole.classes or counts[target] >= FEWEST for target in sample.targets]
    kept = sample.part(np.flatnonzero(often))
    return replace(kept, classes=())  # those that are left


@pytest.fixture(scope="module")
def folder(history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that learnt from them."""
    store = make_store(tmp_path_factory.mktemp("store"), history, build=build_pipeline)
    return store.folder()


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model.load(folder)


def allowed_rows(history: History, count: int) -> dict[str, list[Any]]:
    """Rows of cells from anywhere in the history, missing values and unseen categories."""
    draw = random.Random(0)
    columns = {}
    for column in FEATURES:
        known = to_values(history.columns[column.name], column)
        cells = [draw.choice(known) for _ in range(count)]
        strange = [*[None] * column.optional, *["never seen"] * (column.kind == "category")]
        columns[column.name] = [
            draw.choice(strange) if strange and draw.random() < 0.2 else cell for cell in cells
        ]
    return columns


def test_every_row_that_the_contract_allows_is_predicted(model: Model, history: History) -> None:
    numbers = model.predict(allowed_rows(history, 200)).numbers  # which raises for one not finite
    assert len(numbers) == 200


def test_a_row_is_predicted_alone_as_in_a_batch(model: Model, history: History) -> None:
    rows = allowed_rows(history, 20)
    alone = [
        model.predict({name: values[row : row + 1] for name, values in rows.items()}).numbers[0]
        for row in range(20)
    ]
    assert np.allclose(alone, model.predict(rows).numbers, rtol=TOLERANCE)


def test_fitted_again_it_predicts_the_same(folder: Path, model: Model, history: History) -> None:
    again = fit(clone(joblib.load(folder / MODEL_FILE)), history)
    found = again.predict(to_arrays(history.columns)).numbers
    expected = model.predict(history.columns).numbers
    remedy = "two trainings differ: give each step that draws at random a random_state"
    assert np.allclose(found, expected, rtol=TOLERANCE), remedy


def test_it_is_compiled_or_why_not_is_told_in_one_line(model: Model, history: History) -> None:
    compiled = model.manifest.compiled
    if compiled.reason is None:
        assert compiled.rows >= len(history)
        assert compiled.worst <= TOLERANCE
    else:
        assert compiled.reason.strip()
        assert len(compiled.reason.splitlines()) == 1
