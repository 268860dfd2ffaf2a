"""LightGBM and XGBoost predict the same compiled, whatever their settings; or say why they are not.

`tests/test_pipelines.py` runs this in a project to which both packages were added.
"""

from typing import Any

import numpy as np
import pytest
from conftest import CATEGORIES, NUMBERS, make_history
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from contract import FEATURES, TARGET
from contract.tolerance import TOLERANCE
from model.artifacts.manifest import Compilation
from model.columns import to_arrays
from model.compiling.boosting import xgboost_forest
from model.compiling.compiler import compile_pipeline
from model.compiling.parity import relative_error
from model.engines.onnx import OnnxEngine
from model.training.fitting import fit
from model.training.history import History

REGRESSION = TARGET.kind == "float"


class NamedClasses(XGBClassifier):
    """XGBoost's classifier for classes that have names, as docs/adr/0022 shows it."""

    names_ = None

    def fit(self, X: Any, y: Any, **options: Any) -> "NamedClasses":
        """Fit to the numbers of the classes."""
        self.names_ = None
        names, numbers = np.unique(y, return_inverse=True)
        super().fit(X, numbers, **options)
        self.names_ = names
        return self

    @property
    def classes_(self) -> Any:
        """The classes, as the history names them."""
        return super().classes_ if self.names_ is None else self.names_


LIGHTGBM: list[dict[str, Any]] = [
    {},
    {"min_child_samples": 2, "num_leaves": 63, "n_estimators": 60},
    {"boosting_type": "dart"},
    {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    {"use_missing": False},
    *(
        {"objective": each}
        for each in ("l1", "huber", "fair", "quantile", "poisson", "gamma", "tweedie")
        if REGRESSION
    ),
    *({"is_unbalance": True, "sigmoid": each} for each in (0.7, 2.0) if TARGET.kind == "bool"),
]
XGBOOST: list[dict[str, Any]] = [
    {},
    {"max_depth": 10, "n_estimators": 60, "min_child_weight": 0},
    {"tree_method": "exact", "gamma": 0.5},
    {"tree_method": "approx", "max_leaves": 9, "grow_policy": "lossguide"},
    {"base_score": 0.25},
    *(
        {"objective": each}
        for each in (
            *("reg:absoluteerror", "reg:pseudohubererror", "count:poisson"),
            *("reg:gamma", "reg:tweedie", "reg:logistic"),
        )
        if REGRESSION
    ),
]


def around(estimator: Any, numbers: Any = "passthrough") -> Pipeline:
    """A pipeline that gives missing values to the estimator, and dense columns."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [("numbers", numbers, NUMBERS), ("categories", encoder, CATEGORIES)]
    columns = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("columns", columns), ("estimator", estimator)])


def with_gaps(rows: int = 300, seed: int = 0, share: float = 1.0) -> History:
    """A history whose targets depend on every number, and which lacks what may be missing."""
    history = make_history(rows, seed)
    arrays = to_arrays(history.columns)
    total = sum(
        np.nan_to_num(arrays[name], nan=3.0) / (1 + np.nanmax(np.abs(arrays[name])))
        for name in NUMBERS
    )
    if REGRESSION:
        targets = (share * total / np.max(np.abs(total))).clip(0.01, 0.99).tolist()
    else:
        cuts = np.quantile(total, [0.3, 0.6] if TARGET.kind == "category" else [0.4])
        names: list[Any] = ["a", "b", "c"] if len(cuts) == 2 else [False, True]
        targets = [names[each] for each in np.digitize(total, cuts)]
    return History(history.columns, targets, history.data)


def compiled(estimator: Any, numbers: Any = "passthrough") -> Compilation:
    """How an estimator is compiled, which predicts for fresh rows as it does itself."""
    history = with_gaps()
    reference = fit(around(estimator, numbers), history)
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    if graph:
        fresh = to_arrays(make_history(200, seed=1).columns)
        found = OnnxEngine(graph, reference.classes).predict(fresh)
        assert relative_error(found, reference.predict(fresh)).max() <= TOLERANCE
    return compilation


@pytest.mark.parametrize("settings", LIGHTGBM, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_lightgbm_is_compiled(settings: dict[str, Any]) -> None:
    kind = LGBMRegressor if REGRESSION else LGBMClassifier
    estimator = kind(**{"n_estimators": 20, "verbosity": -1, "random_state": 0, **settings})
    assert compiled(estimator).reason is None


@pytest.mark.parametrize("settings", XGBOOST, ids=str)
def test_xgboost_is_compiled(settings: dict[str, Any]) -> None:
    kind = XGBRegressor if REGRESSION else NamedClasses
    assert compiled(kind(**{"n_estimators": 20, **settings})).reason is None


def test_a_forest_of_xgboost_is_compiled() -> None:
    if TARGET.kind != "category":
        estimator = (XGBRFRegressor if REGRESSION else XGBRFClassifier)(n_estimators=20)
        assert compiled(estimator).reason is None


def test_a_scaler_before_the_trees_and_a_stacking_around_them_are_compiled() -> None:
    kinds = (LGBMRegressor, XGBRegressor) if REGRESSION else (LGBMClassifier, NamedClasses)
    members = [("light", kinds[0](n_estimators=5, verbosity=-1)), ("x", kinds[1](n_estimators=5))]
    assert compiled(members[1][1], StandardScaler()).reason is None
    if not any(each.optional for each in FEATURES):
        stacking, linear = (
            (StackingRegressor, Ridge())
            if REGRESSION
            else (StackingClassifier, LogisticRegression())
        )
        assert compiled(stacking(members, linear)).reason is None


def test_the_best_iteration_is_what_is_compiled() -> None:
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(200, 3)), rng.normal(size=200)
    estimator = XGBRegressor(n_estimators=50, early_stopping_rounds=2)
    estimator.fit(rows[:100], targets[:100], eval_set=[(rows[100:], targets[100:])], verbose=False)
    assert len(xgboost_forest(estimator).trees) == estimator.best_iteration + 1 < 50


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (LGBMRegressor(linear_tree=True, verbosity=-1), "linear trees"),
        (LGBMRegressor(zero_as_missing=True, verbosity=-1), "zero_as_missing"),
        (LGBMRegressor(reg_sqrt=True, verbosity=-1), "the objective regression sqrt"),
        (LGBMRegressor(objective=lambda y, found: (found - y, y * 0 + 1.0)), "objective custom"),
        (
            LGBMRegressor(categorical_feature=[0], min_data_per_group=1, cat_smooth=0),
            "categorical splits",
        ),
        (XGBRegressor(booster="gblinear"), "another booster than gbtree"),
        (XGBRegressor(booster="dart", rate_drop=0.5, n_estimators=5), "another booster"),
        (XGBRegressor(objective="reg:squaredlogerror", n_estimators=5), "objective reg:squaredlog"),
        (XGBRegressor(missing=0.0), "another missing value than NaN"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_supported_is_said_in_a_sentence(estimator: Any, reason: str) -> None:
    if REGRESSION:
        said = str(compiled(estimator).reason)
        assert said.startswith(f"{type(estimator).__name__} cannot be compiled with ")
        assert reason in said
