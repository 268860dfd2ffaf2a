"""From a fitted pipeline to an ONNX graph that was proven to predict as the pipeline does."""

import warnings
from collections.abc import Mapping
from typing import Any

from skl2onnx import convert_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.feature_extraction.text import CountVectorizer

from contract import FEATURES, MODEL_NAME
from model.artifacts.manifest import Compilation
from model.columns import Array
from model.compiling.converters import CONVERTERS, SHAPES, register_boosting
from model.compiling.parity import Mismatch, prove
from model.engines.onnx import OnnxEngine
from model.engines.sklearn import SklearnEngine

NUMBERS = (DoubleTensorType, FloatTensorType)
"""What numbers may enter a graph as. float64, as they enter the pipeline, is tried first; some
operators of ONNX Runtime exist for float32 only."""


def compile_pipeline(
    reference: SklearnEngine, rows: Mapping[str, Array]
) -> tuple[bytes | None, Compilation]:
    """The graph of a pipeline and how it was proven; None, and why there is none.

    Both must agree on the rows that the pipeline was fitted to, as `model.columns.to_arrays` has
    them, and on others made of these.
    """
    faults: list[Exception] = []
    for numbers in NUMBERS:
        try:
            graph = convert(reference.pipeline, numbers)
            compiled = OnnxEngine(graph, reference.classes)
            return graph, prove(reference, compiled, graph, rows)
        except Exception as fault:  # converters and ONNX Runtime raise errors of any kind
            faults.append(fault)
    return None, Compilation(reason=_reason(reference.pipeline, faults))


def _reason(pipeline: Any, faults: list[Exception]) -> str:
    """Why a pipeline is not compiled, in one sentence."""
    for fault in faults:
        if isinstance(fault, Mismatch) or " cannot be compiled with " in str(fault):
            return str(fault)
    for step in filter(lambda each: hasattr(each, "fit"), pipeline.get_params().values()):
        known = type(step) in CONVERTERS or type(step) in sklearn_operator_name_map
        if not known or getattr(step, "func", None):
            return f"{type(step).__name__} cannot be compiled"
    said = " ".join(str(faults[0]).rpartition("[ONNXRuntimeError] : ")[2].split())
    return f"the pipeline cannot be compiled ({said.partition('. ')[0]:.200})"


def convert(pipeline: Any, numbers: Any = DoubleTensorType) -> bytes:
    """The pipeline as an ONNX graph with one input [rows, 1] for each feature.

    Numbers are of the type given. Raises exceptions of many kinds for what cannot be converted.
    """
    # Seconds since 1970 need float64.
    types = {"category": StringTensorType, "datetime": DoubleTensorType}
    inputs = [(each.name, types.get(each.kind, numbers)([None, 1])) for each in FEATURES]
    register_boosting(pipeline)
    options: dict[Any, Any] = {}  # a key that is a name would do for none but names
    if hasattr(pipeline, "classes_"):
        options[id(pipeline)] = {"zipmap": False}
    for step in pipeline.get_params().values():
        if isinstance(step, CountVectorizer):  # TfidfVectorizer is one
            options[type(step)] = {"locale": "C"}  # which every machine has
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = convert_sklearn(
            pipeline,
            name=MODEL_NAME,  # instead of a random one: the same rows make the same version
            initial_types=inputs,
            options=options,
            custom_conversion_functions=CONVERTERS,
            custom_shape_calculators=SHAPES,
        )
    # They come in the order of a set, which is another one in every process.
    graph.opset_import.sort(key=lambda each: each.domain)
    content: bytes = graph.SerializeToString()
    return content
