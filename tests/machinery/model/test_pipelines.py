"""Pipelines as people write them are compiled, and predict as scikit-learn does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from compiled import check_compiled
from conftest import CATEGORIES, NUMBERS, build_small, make_history
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from contract import FEATURES, TARGET
from contract.tolerance import TOLERANCE
from model.columns import to_arrays
from model.compiling.compiler import compile_pipeline
from model.compiling.parity import relative_error
from model.engines.onnx import OnnxEngine
from model.training.fitting import fit
from model.training.history import History

REGRESSION = TARGET.kind == "float"


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


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_as_people_write_them_is_compiled(name: str) -> None:
    check_compiled(PIPELINES[name](), make_history())


def test_a_vectorizer_is_compiled_for_either_task() -> None:
    history = make_history()
    words = {'caf\u00e9 "noir"': "cafe noir", "\U0001f680": "rocket", None: "no word", "a": "an"}
    plain = {name: [words.get(each, each) for each in history.columns[name]] for name in CATEGORIES}
    history = replace(history, columns={**history.columns, **plain})
    vectorizers = ColumnTransformer([(name, TfidfVectorizer(), name) for name in CATEGORIES])
    reference = fit(around(either(Ridge, LogisticRegression), categories=vectorizers), history)
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    assert (compilation.reason, graph is None) == (None, False)


def test_rare_missing_and_unseen_values_are_told_apart() -> None:
    lead = next((each for each in FEATURES if each.kind == "category"), FEATURES[0])
    history = make_history(lead=lead)
    values = list(history.columns[lead.name])
    strange: list[Any] = [*values[:5], *[None] * lead.optional]
    if lead.kind == "category":
        values[7:9] = strange[:2] = ["rare", "as rare"]
        strange[2:5] = ["never seen", "c, d", "a"]
    columns = {**history.columns, lead.name: values}
    history = History(columns, history.targets, history.data)
    reference = fit(build_small(), history)
    graph, _ = compile_pipeline(reference, to_arrays(columns))
    assert graph
    row = {name: [column[0]] * len(strange) for name, column in columns.items()}
    rows = to_arrays({**row, lead.name: strange})
    found = OnnxEngine(graph, reference.classes).predict(rows)
    assert relative_error(found, reference.predict(rows)).max() <= TOLERANCE
    if lead.kind == "category":
        numbers = found.values if REGRESSION else found.probabilities[:, 0]  # type: ignore[index]
        assert len(set(numbers[:3].tolist())) == 1
        assert abs(numbers[3] - numbers[4]) > 0.1


def test_trees_of_too_many_nodes_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.compiling.graph.MOST_NODES", 3)
    history = make_history()
    reference = fit(build_small(), history)
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    assert graph is None
    assert "nodes in its trees, more than 3" in str(compilation.reason)
