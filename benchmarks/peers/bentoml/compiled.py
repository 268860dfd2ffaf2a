"""The compiled model behind BentoML."""

import os

import bentoml
import numpy as np
from onnxruntime import InferenceSession, SessionOptions


@bentoml.service
class Wait:
    def __init__(self) -> None:
        """Load the model, once a worker."""
        options = SessionOptions()
        options.intra_op_num_threads = 1
        self.session = InferenceSession(
            os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api
    def predict(self, hour: float, day: str, distance: float, items: int) -> float:
        """The prediction for one row of features."""
        feed = {
            "hour": np.array([[hour]]),
            "day": np.array([[day]], dtype=object),
            "distance": np.array([[distance]]),
            "items": np.array([[items]], dtype=np.float64),
        }
        return self.session.run(None, feed)[0].item()
