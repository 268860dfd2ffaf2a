"""The simpler model that any other has to be better than: a linear one of the same columns."""

from typing import Any

from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contract import FEATURES
from model.artifacts.manifest import TASK

NUMBERS = [column.name for column in FEATURES if column.kind != "category"]
CATEGORIES = [column.name for column in FEATURES if column.kind == "category"]
VALUES = 32
"""The most values of a category that get a column of their own."""


def build_linear() -> Pipeline:
    """The pipeline, not fitted."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=VALUES)
    columns = make_column_transformer((numbers, NUMBERS), (categories, CATEGORIES))
    estimator = Ridge() if TASK == "regression" else LogisticRegression(max_iter=1000)
    return make_pipeline(columns, estimator)


def is_linear(pipeline: Any) -> bool:
    """Whether a fitted pipeline ends in a linear model, than which there is none simpler."""
    while steps := getattr(pipeline, "steps", None):
        pipeline = steps[-1][1]
    return hasattr(pipeline, "coef_")
