"""What a graph answers, beside what scikit-learn does."""

from typing import Any

import onnxruntime as ort
from conftest import make_history
from skl2onnx import convert_sklearn

from contract.tolerance import TOLERANCE
from model.columns import to_arrays
from model.compiling.compiler import compile_pipeline
from model.compiling.converters import CONVERTERS, SHAPES
from model.compiling.parity import relative_error
from model.engines.onnx import OnnxEngine
from model.training.fitting import fit
from model.training.history import History


def check_compiled(pipeline: Any, history: History) -> None:
    """The pipeline is compiled when it is fitted, and predicts alike on rows that it never saw."""
    reference = fit(pipeline, history)
    graph, compilation = compile_pipeline(reference, to_arrays(history.columns))
    assert compilation.reason is None
    assert graph
    fresh = to_arrays(make_history(200, seed=1).columns)
    predictions = OnnxEngine(graph, reference.classes).predict(fresh)
    assert relative_error(predictions, reference.predict(fresh)).max() <= TOLERANCE


def by_graph(transformer: Any, kind: Any, rows: Any) -> Any:
    """What a fitted transformer makes of rows [rows, columns] once it is converted."""
    graph = convert_sklearn(
        transformer,
        initial_types=[("rows", kind([None, rows.shape[1]]))],
        custom_conversion_functions=CONVERTERS,
        custom_shape_calculators=SHAPES,
    )
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"rows": rows})
    return found
