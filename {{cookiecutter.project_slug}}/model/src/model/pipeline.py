{%- set estimator = 'HistGradientBoosting' ~ ('Regressor' if cookiecutter.__task == 'regression' else 'Classifier') -%}
"""What is trained: the one file to edit for another estimator or another preparation of a feature.

The columns arrive as `model.engines.sklearn.to_frame` makes them: numbers and booleans as float64
with NaN where one is missing, categories as strings with "" where one is missing.
"""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import {{ estimator }}
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from contract import FEATURES

NUMBERS = [column.name for column in FEATURES if column.kind != "category"]
CATEGORIES = [column.name for column in FEATURES if column.kind == "category"]


def build_pipeline() -> Pipeline:
    """A pipeline, not yet fitted; the same data always make the same model of it.

    What scikit-learn ships is compiled, mostly; a function of your own is not: `model show` tells.
    Rare categories count as one category, and so does one that was never seen. Gradient boosting
    takes NaN as it is; another estimator may need a `SimpleImputer` and a `StandardScaler` before
    it{{ '' if cookiecutter.__task == 'regression' else ', and must have `predict_proba`' }}.
    """
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", NUMBERS),
            (
                "categories",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist",
                    min_frequency=5,
                    max_categories=32,
                    sparse_output=False,
                ),
                CATEGORIES,
            ),
        ]
    )
    # Early stopping would hold out a stratified part, which fails on a class of one row.
    estimator = {{ estimator }}(
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=15,
        early_stopping=False,
        random_state=0,
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])
