{%- set regression = cookiecutter.__task == 'regression' -%}
{%- set boosting = 'HistGradientBoosting' ~ ('Regressor' if regression else 'Classifier') -%}
{%- set linear = 'Ridge' if regression else 'LogisticRegression' -%}
"""What is trained: the one file to edit for another estimator or another preparation of a feature.

The columns arrive as `model.engines.sklearn.to_frame` makes them: numbers and booleans as float64
with NaN where one is missing, categories as strings with "" where one is missing, moments as
float64 seconds since 1970 in UTC.
"""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import {{ boosting }}
from sklearn.impute import SimpleImputer
from sklearn.linear_model import {{ linear }}
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from contract import FEATURES
from model.columns import ByValueCount
from model.moments import CalendarFeatures

NUMBERS = [column.name for column in FEATURES if column.kind in ("float", "int", "bool")]
CATEGORIES = [column.name for column in FEATURES if column.kind == "category"]
MOMENTS = [column.name for column in FEATURES if column.kind == "datetime"]
SPLIT = "{{ cookiecutter.split }}"
"""The fifth of the rows that a model is judged on: "order" the last, where the oldest row is first;
"time:placed_at" the latest by that column; "shuffled" any; "group:customer" those of a fifth of the
customers, none of which the model has seen."""


def build_pipeline() -> GridSearchCV:
    """Pipelines to choose from, not yet fitted; the same data always make the same model of them.

    A single `Pipeline` will do as well. What scikit-learn ships is compiled, mostly; a function of
    your own is not: `model show` tells{{ '' if regression else '. A classifier must have `predict_proba`' }}.
    """
    # Early stopping would hold out a stratified part, which fails on a class of one row.
    boosting = {"early_stopping": False, "random_state": 0}
    candidates = [
        {{ boosting }}(**boosting),
        # For few rows: small trees, slowly.
        {{ boosting }}(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=5,
            l2_regularization=1.0,
            **boosting,
        ),
        make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(),
            {{ 'Ridge()' if regression else 'LogisticRegression(max_iter=1000)' }},
        ),
    ]
    # A column of zeros and ones for each value; the rare ones share one, with those never seen.
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    # Of many values each becomes the {{ 'mean of the target' if regression else 'share of each class' }} among its rows. This is done in
    # folds, so that no row's own target is part of what the row gets.
    means = TargetEncoder(
        target_type="{{ {'regression': 'continuous', 'binary': 'binary', 'multiclass': 'auto'}[cookiecutter.__task] }}",
        cv=KFold(5, shuffle=True, random_state=0),
    )
    columns: list[Any] = [
        ("numbers", "passthrough", NUMBERS),
        ("few values", one_hot, ByValueCount(CATEGORIES, most=32)),
        ("many values", means, ByValueCount(CATEGORIES, least=33)),
    ]
    if MOMENTS:
        columns.append(("moments", CalendarFeatures(), MOMENTS))
    pipeline = Pipeline([("columns", ColumnTransformer(columns)), ("estimator", candidates[0])])
    # Folds follow SPLIT; the score is the metric by which versions are compared.
    return GridSearchCV(pipeline, {"estimator": candidates})
