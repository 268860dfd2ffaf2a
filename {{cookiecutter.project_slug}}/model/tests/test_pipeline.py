"""What must hold for whatever `build_pipeline` in `model/pipeline.py` returns.

It learns from rows of the history, since a pipeline may be right for these alone.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_store

from contract import FEATURES
from model.columns import to_values
from model.engines.loading import TOLERANCE, Model
from model.pipeline import build_pipeline
from model.training.history import History, read_history

HISTORY = Path(__file__).parents[2] / "data/history.csv"
ROWS = 1000
FEWEST = 20
"""A class of fewer rows is left out: what folds its rows needs some in each fold."""
# An estimator may warn: that it did not converge, that it was given an array without names.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def history() -> History:
    """Rows of the history, from its first to its last."""
    whole = read_history(HISTORY)
    rows = np.linspace(0, len(whole) - 1, min(len(whole), ROWS)).astype(np.intp)
    if whole.classes:
        targets = whole.part(rows).targets
        rows = rows[[targets.count(target) >= FEWEST for target in targets]]
    return whole.part(rows)


@pytest.fixture(scope="module")
def model(history: History, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A version that learnt from them, stored and loaded."""
    store = make_store(tmp_path_factory.mktemp("store"), history, build=build_pipeline)
    return Model.load(store.folder())


def allowed_rows(history: History, count: int) -> dict[str, list[Any]]:
    """Rows of cells from anywhere in the history, missing values and unseen categories."""
    draw = random.Random(0)
    columns = {}
    for column in FEATURES:
        values = to_values(history.columns[column.name], column)
        cells = [draw.choice(values) for _ in range(count)]
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


def test_the_same_rows_make_a_model_that_predicts_the_same(
    model: Model, history: History, tmp_path: Path
) -> None:
    store = make_store(tmp_path, history, build=build_pipeline, compiled=False)
    again = Model.load(store.folder())
    assert np.allclose(
        again.predict(history.columns).numbers,
        model.predict(history.columns).numbers,
        rtol=TOLERANCE,
    ), "two trainings differ: give each step that draws at random a random_state"


def test_it_is_compiled_or_why_not_is_told_in_one_line(model: Model, history: History) -> None:
    compiled = model.manifest.compiled
    if compiled.reason is None:
        assert compiled.rows >= len(history)
        assert compiled.worst <= TOLERANCE
    else:
        assert compiled.reason.strip()
        assert len(compiled.reason.splitlines()) == 1
