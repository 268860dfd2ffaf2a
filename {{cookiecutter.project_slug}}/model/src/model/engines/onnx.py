"""The compiled engine: the pipeline as an ONNX graph, run by ONNX Runtime on one thread.

It needs neither scikit-learn nor pandas. That it answers as they do was proven when it was made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from model.artifacts.manifest import ONNX_FILE
from model.artifacts.verification import VerifiedArtifact
from model.columns import Array
from model.engines.predictions import Predictions, most_probable
from model.errors import ModelError

DTYPES: dict[str, Any] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(string)": np.object_,
}


class OnnxEngine:
    """Rows in, predictions out, through ONNX Runtime.

    Args:
        graph: an ONNX model with one input [rows, 1] for each feature that it uses; its last output
            is the target, or for a classification the probabilities [rows, classes].
        classes: the name of every class, in the order of the probabilities; empty for a regression.
    """

    name = "onnxruntime"

    def __init__(self, graph: bytes, classes: Sequence[str]) -> None:
        options = ort.SessionOptions()
        # More threads make one row no quicker, and would wait for each other with many callers.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # no errors, which are raised as well
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [(each.name, DTYPES[each.type]) for each in self._session.get_inputs()]
        self._outputs = [self._session.get_outputs()[-1].name]
        self._classes = classes

    @classmethod
    def load(cls, artifact: VerifiedArtifact) -> "OnnxEngine":
        """The engine of an artifact; raises ModelError if this ONNX Runtime cannot run it."""
        path, manifest = artifact.path / ONNX_FILE, artifact.manifest
        try:
            return cls(artifact.content, manifest.classes or ())
        except Exception as error:  # ONNX Runtime's own kinds have no common base
            maker, fault = manifest.packages.get("onnxruntime"), " ".join(str(error).split())
            versions = f"made by onnxruntime {maker}, and {ort.__version__} cannot run it"
            raise ModelError(f"{path}: {versions} ({fault:.200}); run `make train`") from None

    def predict(self, arrays: Mapping[str, Array]) -> Predictions:
        """The predictions for these rows, given as `model.columns.to_arrays` makes them."""
        feed = {
            name: arrays[name].astype(dtype, copy=False).reshape(-1, 1)
            for name, dtype in self._inputs
        }
        (output,) = self._session.run(self._outputs, feed)
        numbers = output.astype(np.float64, copy=False)
        if not self._classes:
            return Predictions(numbers.ravel())
        return most_probable(numbers, self._classes)
