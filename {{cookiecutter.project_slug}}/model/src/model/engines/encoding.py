"""What reaches the estimator at the end of a pipeline."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from model.columns import Columns, to_arrays
from model.engines.sklearn import to_frame


class Encoded(NamedTuple):
    """The columns that an estimator gets, and what a linear one makes of them.

    Attributes:
        products: each with its coefficient, and the intercept; in a classification they add up to
            log-odds, and of more than two classes there are none.
    """

    estimator: str
    columns: dict[str, Any]
    products: dict[str, float]


def encode(pipeline: Any, columns: Columns) -> Encoded:
    """The first row, encoded by a fitted pipeline; raises whatever its steps do."""
    table: Any = to_frame(to_arrays(columns))
    names: Any = list(table.columns)
    while isinstance(pipeline, Pipeline):
        for _, step in pipeline.steps[:-1]:
            if step not in (None, "passthrough"):
                table, names = step.transform(table), step.get_feature_names_out(names)
        pipeline = pipeline.steps[-1][1]
    row = np.asarray(table.toarray() if hasattr(table, "toarray") else table)[0]
    products, weights = {}, np.atleast_2d(getattr(pipeline, "coef_", ()))
    if weights.shape == (1, len(row)):
        products = dict(zip(names, (weights[0] * row).tolist(), strict=True))
        products["intercept"] = float(np.ravel(pipeline.intercept_)[0])
    return Encoded(type(pipeline).__name__, dict(zip(names, row.tolist(), strict=True)), products)
