"""The compiled engine: the pipeline as an ONNX graph, run by ONNX Runtime on one thread.

It needs neither scikit-learn nor pandas. That it answers as they do was proven when it was made.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from model.answer import Answer, Array, classified
from model.artifact import ONNX_FILE, ArtifactError, Folder

DTYPES: dict[str, Any] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(string)": np.object_,
}


class Compiled:
    """Rows in, answers out, through ONNX Runtime.

    Args:
        graph: an ONNX model with one input [rows, 1] for each feature that it uses; its last output
            is the target, or for a classification the probabilities [rows, classes].
        classes: every class by name, in the order of the probabilities; None for a regression.
    """

    def __init__(self, graph: bytes, classes: list[str] | None) -> None:
        options = ort.SessionOptions()
        # More threads make one row no quicker, and would wait for each other with many callers.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; they are raised as well
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [(each.name, DTYPES[each.type]) for each in self._session.get_inputs()]
        self._outputs = [self._session.get_outputs()[-1].name]
        self._classes = classes

    @classmethod
    def load(cls, folder: Folder) -> "Compiled":
        """The graph of an artifact, whose digests must have been verified.

        Raises:
            ArtifactError: this ONNX Runtime cannot run it.
        """
        path = folder.path / ONNX_FILE
        try:
            return cls(path.read_bytes(), folder.manifest.classes)
        except Exception as error:  # ONNX Runtime's own kinds have no common base
            fault = " ".join(str(error).split())
            raise ArtifactError(
                f"{path}: made by onnxruntime {folder.manifest.packages.get('onnxruntime')}, and"
                f" {ort.__version__} cannot run it ({fault:.200}); run `make train`"
            ) from None

    def predict(self, arrays: Mapping[str, Array]) -> Answer:
        """The answer for these rows, given as `model.answer.arrays_of` has them."""
        feed = {
            name: arrays[name].astype(dtype, copy=False).reshape(-1, 1)
            for name, dtype in self._inputs
        }
        (output,) = self._session.run(self._outputs, feed)
        numbers = output.astype(np.float64, copy=False)
        if self._classes is None:
            return Answer(numbers.ravel())
        return classified(numbers, self._classes)
