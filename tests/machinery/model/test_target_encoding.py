"""Target encoding is compiled as scikit-learn does it: for each task, whatever the text."""

from typing import Any

import numpy as np
import pytest
from compiled import by_graph, check_compiled
from conftest import CATEGORIES, make_history
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from contract import FEATURES, TARGET
from model.columns import ByValueCount
from model.training.history import History

FOLDS = KFold(5, shuffle=True, random_state=0)
TEXTS = ["a", "b", "caf\u00e9 \U0001f680", "x, y", ""]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_text_becomes_the_number_of_its_rows_and_one_never_seen_that_of_all(classes: int) -> None:
    draw = np.random.default_rng(classes)
    texts = np.array(draw.choice(TEXTS, (80, 2)), dtype=object)
    targets: Any = draw.random(80) * 1e6
    if classes:
        targets = np.array([f"class {each}" for each in draw.integers(classes, size=80)], object)
    encoder = TargetEncoder(target_type="auto" if classes else "continuous", cv=FOLDS)
    encoder.fit(texts, targets)
    unseen = np.array([["never seen", "b"], ["", "never seen"], ["A", " a"]], dtype=object)
    rows = np.vstack([texts, unseen])
    found = by_graph(encoder, StringTensorType, rows)
    assert found.dtype == np.float64
    assert (found == encoder.transform(rows)).all()
    assert (found[-1].reshape(2, -1) == np.ravel(encoder.target_mean_)).all()


def test_a_number_is_left_to_the_converter_of_others() -> None:
    numbers = np.arange(40.0)[:, None] % 4
    encoder = TargetEncoder(target_type="continuous", cv=FOLDS).fit(numbers, np.arange(40.0))
    found = by_graph(encoder, FloatTensorType, numbers.astype(np.float32))
    np.testing.assert_allclose(found, encoder.transform(numbers), rtol=1e-6)


@pytest.mark.skipif(not CATEGORIES, reason="the contract has no category")
@pytest.mark.parametrize("most", [0, 3, np.inf])
def test_a_pipeline_that_encodes_by_the_count_of_values_is_proven(most: float) -> None:
    history = make_history(300, lead=next(each for each in FEATURES if each.kind == "category"))
    columns = {**history.columns, CATEGORIES[-1]: [f"value {row % 37}" for row in range(300)]}
    history = History(columns, history.targets, history.data)
    regression = TARGET.kind == "float"
    encoder = TargetEncoder(target_type="continuous" if regression else "auto", cv=FOLDS)
    rest = OneHotEncoder(handle_unknown="ignore")
    parts = ColumnTransformer(
        [
            ("many", encoder, ByValueCount(CATEGORIES, least=most + 1)),
            ("few", rest, ByValueCount(CATEGORIES, most=most)),
        ]
    )
    estimator = Ridge() if regression else LogisticRegression()
    check_compiled(Pipeline([("parts", parts), ("estimator", estimator)]), history)
