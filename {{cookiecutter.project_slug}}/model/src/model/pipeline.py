{%- set names = {'numbers': [], 'categories': []} -%}
{%- for feature in cookiecutter.features.split() -%}
{%- set name, kind = feature.split(':') -%}
{%- set _ = names['categories' if kind.rstrip('?') == 'category' else 'numbers'].append(name) -%}
{%- endfor -%}
{%- set estimator = 'HistGradientBoosting' ~ ('Regressor' if cookiecutter.__task == 'regression' else 'Classifier') -%}
"""What is trained: the one file to edit for another estimator or a derived feature.

The columns arrive as `model.frame` builds them: numbers and booleans as float64 with NaN where one
is missing, categories as strings with "" where one is missing.
"""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import {{ estimator }}
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

{% for list in ('numbers', 'categories') -%}
{{ list | upper }}: list[str] = [
{%- for name in names[list] %}
    "{{ name }}",
{%- endfor %}
{{- '\n' if names[list] }}]
{% endfor %}

def build_pipeline() -> Pipeline:
    """A pipeline that was fitted to nothing yet; the same data always make the same model of it.

    What scikit-learn ships is compiled, mostly; a function of your own is not: `model show` says.
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
