"""The reference engine: the scikit-learn pipeline itself, which every other must match."""

from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from model.answer import Answer, Columns, class_name, classified
from model.artifact import MODEL_FILE, Folder
from model.frame import frame_of
from model.pipeline import build_pipeline


class Reference:
    """Rows in, answers out, through scikit-learn.

    Args:
        pipeline: as `build_pipeline` makes it, fitted.
        classes: every class by name, in the order of the answers' probabilities; None for a
            regression. A class that the pipeline never saw has the probability 0.
    """

    def __init__(self, pipeline: Pipeline, classes: list[str] | None) -> None:
        self.pipeline = pipeline
        self.classes = classes
        # Small batches on several threads are slower than on one, and starve the neighbours.
        self._threads = ThreadpoolController()

    @classmethod
    def fit(cls, columns: Columns, targets: list[Any], classes: list[str] | None) -> "Reference":
        """A pipeline fitted to these rows."""
        frame = frame_of(columns)
        # Gradient boosting cannot bin a column without any value. A constant says as little.
        empty = [name for name in frame if frame[name].isna().all()]
        fitted = build_pipeline().fit(frame.fillna(dict.fromkeys(empty, 0.0)), np.array(targets))
        return cls(fitted, classes)

    @classmethod
    def load(cls, folder: Folder) -> "Reference":
        """The pipeline of an artifact, whose digests must have been verified."""
        return cls(joblib.load(folder.path / MODEL_FILE), folder.manifest.classes)

    def predict(self, columns: Columns) -> Answer:
        """The answer for these rows, on one thread."""
        frame = frame_of(columns)
        with self._threads.limit(limits=1):
            if self.classes is None:
                return Answer(self.pipeline.predict(frame).astype(np.float64))
            return classified(self._probabilities(frame, self.classes), self.classes)

    def _probabilities(self, frame: pd.DataFrame, classes: list[str]) -> Any:
        known = self.pipeline.predict_proba(frame).astype(np.float64).clip(0, 1)
        shares = np.zeros((len(frame), len(classes)))
        for position, value in enumerate(self.pipeline.classes_.tolist()):
            shares[:, classes.index(class_name(value))] = known[:, position]
        return shares
