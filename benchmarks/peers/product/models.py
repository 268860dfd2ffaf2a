"""The model at MODEL_FILE in the process of the product, with one thread for each prediction."""

import os
from collections.abc import Callable
from typing import Any

Predict = Callable[[dict[str, Any]], float]


def load() -> Predict:
    """A function from the features of one order to its prediction."""
    path = os.environ["MODEL_FILE"]
    return compiled(path) if path.endswith(".onnx") else pickled(path)


def pickled(path: str) -> Predict:
    """The pipeline of scikit-learn, from a file of joblib."""
    import joblib
    import pandas as pd

    model = joblib.load(path)
    return lambda features: float(model.predict(pd.DataFrame([features]))[0])


def compiled(path: str) -> Predict:
    """The same, compiled, in ONNX Runtime."""
    import numpy as np
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(features: dict[str, Any]) -> float:
        feed = {
            "hour": np.array([[features["hour"]]]),
            "day": np.array([[features["day"]]], dtype=object),
            "distance": np.array([[features["distance"]]]),
            "items": np.array([[features["items"]]], dtype=np.float64),
        }
        return float(session.run(None, feed)[0].item())

    return predict
