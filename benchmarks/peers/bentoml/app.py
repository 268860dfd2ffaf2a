"""A scikit-learn model behind BentoML, as its documentation shows tabular input."""

import os
from typing import Annotated

import bentoml
import joblib
import pandas as pd
from bentoml.validators import DataframeSchema

COLUMNS = ["hour", "day", "distance", "items"]


@bentoml.service
class Wait:
    def __init__(self) -> None:
        """Load the model, once a worker."""
        self.model = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api
    def predict(
        self, input: Annotated[pd.DataFrame, DataframeSchema(orient="records", columns=COLUMNS)]
    ) -> float:
        """The prediction for a frame of one row."""
        return float(self.model.predict(input)[0])
