"""The reference engine: the scikit-learn pipeline itself, which a compiled one must match."""

import io
from collections.abc import Mapping, Sequence

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from contract import TARGET
from model.artifacts.verification import VerifiedArtifact
from model.columns import Array, text_of
from model.engines.predictions import Predictions, most_probable


class SklearnEngine:
    """Rows in, predictions out, through scikit-learn.

    Args:
        pipeline: as `model.pipeline.build_pipeline` makes it, fitted.
        classes: the name of every class, in the order of the probabilities; empty for a regression.
            A class that the pipeline never saw has the probability 0.
    """

    name = "scikit-learn"

    def __init__(self, pipeline: Pipeline, classes: Sequence[str]) -> None:
        self.pipeline = pipeline
        self.classes = classes
        # Small batches on several threads are slower than on one, and starve the neighbours.
        self._threads = ThreadpoolController()

    @classmethod
    def load(cls, artifact: VerifiedArtifact) -> "SklearnEngine":
        """The engine of an artifact."""
        return cls(joblib.load(io.BytesIO(artifact.content)), artifact.manifest.classes or ())

    def predict(self, arrays: Mapping[str, Array]) -> Predictions:
        """The predictions for these rows, given as `model.columns.to_arrays` makes them."""
        frame = to_frame(arrays)
        with self._threads.limit(limits=1):
            if not self.classes:
                return Predictions(self.pipeline.predict(frame).astype(np.float64))
            known = self.pipeline.predict_proba(frame).astype(np.float64).clip(0, 1)
        probabilities = np.zeros((len(frame), len(self.classes)))
        for position, value in enumerate(self.pipeline.classes_.tolist()):
            name = text_of(bool(value) if TARGET.kind == "bool" else value)  # XGBoost says 0 and 1
            probabilities[:, self.classes.index(name)] = known[:, position]
        return most_probable(probabilities, self.classes)


def to_frame(arrays: Mapping[str, Array]) -> pd.DataFrame:
    """Rows as scikit-learn gets them, in training and in serving: one column per feature."""
    return pd.DataFrame(
        {name: pd.Series(array, dtype=array.dtype) for name, array in arrays.items()}
    )
