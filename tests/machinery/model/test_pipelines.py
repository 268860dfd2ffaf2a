"""Pipelines that a data scientist may write are compiled, and what cannot be is explained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_history, make_store
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from contract import FEATURES, TARGET
from model.artifacts.manifest import MODEL_FILE
from model.artifacts.store import Store
from model.columns import to_arrays
from model.compiling.compiler import compile_pipeline
from model.compiling.parity import relative_error
from model.engines.loading import TOLERANCE, Model
from model.engines.onnx import OnnxEngine
from model.pipeline import CATEGORIES, NUMBERS, build_pipeline
from model.training.fitting import classes_of, fit
from model.training.history import History

REGRESSION = TARGET.datatype == "FP64"


def around(estimator: Any, numbers: Any = None, categories: Any = None) -> Pipeline:
    """A pipeline as people write them."""
    numbers = numbers or make_pipeline(SimpleImputer(), StandardScaler())
    categories = categories or OneHotEncoder(handle_unknown="ignore", min_frequency=3)
    parts = [("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)]
    columns = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("columns", columns), ("estimator", estimator)])


def either(regressor: Any, classifier: Any, **settings: Any) -> Any:
    """The one that fits the target."""
    return (regressor if REGRESSION else classifier)(**settings)


PIPELINES: dict[str, Callable[[], Pipeline]] = {
    "linear": lambda: around(either(LinearRegression, LogisticRegression)),
    "a tree": lambda: around(either(DecisionTreeRegressor, DecisionTreeClassifier)),
    "a forest": lambda: around(
        either(RandomForestRegressor, RandomForestClassifier, n_estimators=5, random_state=0)
    ),
    "boosting": lambda: around(
        either(GradientBoostingRegressor, GradientBoostingClassifier, n_estimators=9)
    ),
    "boosting with the logarithm as link": lambda: around(
        HistGradientBoostingRegressor(loss="poisson", max_iter=9)
        if REGRESSION
        else HistGradientBoostingClassifier(max_iter=9)
    ),
    "ordinal categories": lambda: around(
        either(HistGradientBoostingRegressor, HistGradientBoostingClassifier, max_iter=9),
        "passthrough",
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ),
}


def test_the_default_pipeline_is_compiled(store: Store) -> None:
    compiled = store.read().compiled
    assert compiled.reason is None
    assert compiled.rows > store.read().data.rows
    assert compiled.worst <= TOLERANCE
    assert Model.load(store.folder()).engine.name == "onnxruntime"


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_as_people_write_them_is_compiled(name: str) -> None:
    history = make_history()
    reference = fit(PIPELINES[name](), history, classes_of(history))
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    assert compilation.reason is None
    assert graph
    fresh = to_arrays(make_history(200, seed=1).columns)
    predictions = OnnxEngine(graph, reference.classes).predict(fresh)
    assert relative_error(predictions, reference.predict(fresh)).max() <= TOLERANCE


def test_rare_missing_and_unseen_values_are_told_apart() -> None:
    lead = next((each for each in FEATURES if each.datatype == "BYTES"), FEATURES[0])
    history = make_history(lead=lead)
    values = list(history.columns[lead.name])
    strange: list[Any] = [*values[:5], *[None] * lead.optional]
    if lead.datatype == "BYTES":
        values[7:9] = strange[:2] = ["rare", "as rare"]
        strange[2:5] = ["never seen", "c, d", "a"]
    columns = {**history.columns, lead.name: values}
    history = History(columns, history.targets, history.data)
    reference = fit(build_pipeline(), history, classes_of(history))
    graph, _ = compile_pipeline(reference, to_arrays(columns))
    assert graph
    row = {name: [column[0]] * len(strange) for name, column in columns.items()}
    rows = to_arrays({**row, lead.name: strange})
    found = OnnxEngine(graph, reference.classes).predict(rows)
    assert relative_error(found, reference.predict(rows)).max() <= TOLERANCE
    if lead.datatype == "BYTES":
        numbers = found.values if REGRESSION else found.probabilities[:, 0]  # type: ignore[index]
        assert len(set(numbers[:3].tolist())) == 1
        assert abs(numbers[3] - numbers[4]) > 0.1


def own_function() -> Pipeline:
    """A pipeline with a function of one's own."""
    own = FunctionTransformer(np.abs, feature_names_out="one-to-one")
    return around(PIPELINES["boosting"]()[-1], make_pipeline(SimpleImputer(), own))


def test_a_pipeline_that_cannot_be_compiled_is_run_by_scikit_learn(tmp_path: Path) -> None:
    store = make_store(tmp_path, make_history(), build=own_function)
    assert set(store.read().files) == {MODEL_FILE}
    assert "FunctionTransformer" in str(store.read().compiled.reason)
    model = Model.load(store.folder())
    assert model.engine.name == "scikit-learn"
    assert model.predict(make_history(3).columns).is_finite()


def test_trees_of_too_many_nodes_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.compiling.trees.MOST_NODES", 3)
    history = make_history()
    reference = fit(build_pipeline(), history, classes_of(history))
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    assert graph is None
    assert "nodes, more than 3" in str(compilation.reason)


def test_compilation_can_be_turned_off(uncompiled_store: Store) -> None:
    assert "--no-compile" in str(uncompiled_store.read().compiled.reason)
    assert set(uncompiled_store.read().files) == {MODEL_FILE}
