"""Pipelines that a data scientist may write are compiled, and what cannot be is said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import make_history
from skl2onnx import convert_sklearn
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

from contract import {{ "FEATURES, " if ":category" in cookiecutter.features }}TARGET
from model import reference as module
from model.answer import arrays_of
from model.artifact import MODEL_FILE, Manifest
from model.compile import compile_pipeline, convert
from model.compiled import Compiled
from model.engine import Engine
from model.evaluation import classes_of
from model.history import History
from model.parity import relative_error
from model.pipeline import CATEGORIES, NUMBERS
from model.reference import Reference
from model.store import Store
from model.training import train

REGRESSION = TARGET.datatype == "FP64"
Build = Callable[[], Pipeline]


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


PIPELINES: dict[str, Build] = {
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


def fit(build: Build, history: History, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """The pipeline fitted to a history."""
    monkeypatch.setattr(module, "build_pipeline", build)
    return Reference.fit(history.columns, history.targets, classes_of(history))


def test_the_default_pipeline_is_compiled(store: Store) -> None:
    manifest = store.read()
    assert manifest.compiled.reason is None
    assert manifest.compiled.rows > manifest.data.rows
    assert 0 <= manifest.compiled.worst < 1e-5
    assert Engine.load(store.folder()).platform == "onnxruntime"


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_as_people_write_them_is_compiled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = make_history()
    reference = fit(PIPELINES[name], history, monkeypatch)
    graph, compilation = compile_pipeline(reference, history)
    assert compilation.reason is None
    assert graph
    fresh = arrays_of(make_history(200, seed=1).columns)
    answer = Compiled(graph, reference.classes).predict(fresh)
    assert relative_error(answer, reference.predict(fresh)).max() < 1e-5
{%- if ':category' in cookiecutter.features %}


def test_rare_missing_and_unseen_categories_are_told_apart() -> None:
    lead = next(each for each in FEATURES if each.datatype == "BYTES")
    history = make_history(lead=lead)
    values = history.columns[lead.name]
    values[7:9] = ["rare", "as rare"]
    reference = Reference.fit(history.columns, history.targets, classes_of(history))
    graph, _ = compile_pipeline(reference, history)
    assert graph
    strange = ["rare", "as rare", "never seen", "c, d", "a", None]
    row = {name: [column[0]] * len(strange) for name, column in history.columns.items()}
    rows = arrays_of(row | {lead.name: strange})
    answer = Compiled(graph, reference.classes).predict(rows)
    assert relative_error(answer, reference.predict(rows)).max() < 1e-5
    assert len(set(answer.values[:3].tolist())) == 1
    numbers = answer.values if REGRESSION else answer.probabilities[:, 0]  # type: ignore[index]
    assert abs(numbers[3] - numbers[4]) > 0.1
{%- endif %}


def test_what_cannot_be_compiled_is_served_by_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def build() -> Pipeline:
        own = FunctionTransformer(np.abs, feature_names_out="one-to-one")
        return around(PIPELINES["boosting"]()[-1], make_pipeline(SimpleImputer(), own))

    monkeypatch.setattr(module, "build_pipeline", build)
    manifest, files = train(make_history())
    assert set(files) == {MODEL_FILE}
    assert manifest.compiled.reason
    assert "FunctionTransformer" in manifest.compiled.reason
    engine = Engine.load(added(tmp_path, manifest, files).folder(manifest.version))
    assert engine.platform == "scikit-learn"
    assert engine.predict(make_history(3).columns).is_finite()


def test_trees_of_too_many_nodes_are_not_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("model.trees.MOST_NODES", 3)
    reason = str(train(make_history())[0].compiled.reason)
    assert "nodes, more than 3" in reason


def test_the_same_pipeline_makes_the_same_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    history = make_history()
    pipeline = Reference.fit(history.columns, history.targets, classes_of(history)).pipeline
    graphs = set()
    for backwards in (False, True):  # as the seed of Python's hashes may have it

        def ordered(*arguments: Any, backwards: bool = backwards, **options: Any) -> Any:
            graph = convert_sklearn(*arguments, **options)
            graph.opset_import.sort(key=lambda each: each.domain, reverse=backwards)
            return graph

        monkeypatch.setattr("model.compile.convert_sklearn", ordered)
        graphs.add(convert(pipeline))
    assert len(graphs) == 1


def test_what_is_not_to_be_compiled_is_not(uncompiled_store: Store) -> None:
    assert "--no-compile" in str(uncompiled_store.read().compiled.reason)
    assert set(uncompiled_store.read().files) == {MODEL_FILE}


def added(path: Any, manifest: Manifest, files: dict[str, bytes]) -> Store:
    """A store with this version."""
    store = Store(path)
    store.add(manifest, files)
    return store
