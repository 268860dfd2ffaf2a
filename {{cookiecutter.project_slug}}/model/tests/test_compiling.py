"""What can be compiled is, if it predicts as scikit-learn does; what cannot be is explained."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import build_small, make_history, make_store
from onnx import numpy_helper
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from contract.tolerance import TOLERANCE
from model.artifacts.manifest import ONNX_FILE
from model.artifacts.store import Store
from model.columns import to_arrays
from model.compiling.compiler import convert
from model.compiling.parity import Mismatch, prove
from model.engines.loading import Model
from model.engines.onnx import OnnxEngine
from model.training.fitting import fit


def unchanged(rows: Any) -> Any:
    """A function of one's own."""
    return rows


def test_a_pipeline_is_compiled(store: Store) -> None:
    compiled = store.read().compiled
    assert compiled.reason is None
    assert compiled.rows > store.read().data.rows
    assert compiled.worst <= TOLERANCE
    assert Model.load(store.folder()).engine.name == "onnxruntime"


def test_a_pipeline_that_cannot_be_compiled_is_run_by_scikit_learn(tmp_path: Path) -> None:
    def build() -> Pipeline:
        *steps, estimator = build_small().steps
        return Pipeline([*steps, ("own", FunctionTransformer(unchanged)), estimator])

    store = make_store(tmp_path, make_history(), build=build)
    assert ONNX_FILE not in store.read().files
    assert store.read().compiled.reason == "FunctionTransformer cannot be compiled"
    model = Model.load(store.folder())
    assert model.engine.name == "scikit-learn"
    assert np.isfinite(model.predict(make_history(3).columns).numbers).all()


def test_compilation_can_be_turned_off(uncompiled_store: Store) -> None:
    assert "--no-compile" in str(uncompiled_store.read().compiled.reason)
    assert ONNX_FILE not in uncompiled_store.read().files


@pytest.mark.parametrize("factor", [1 + 1e-4, np.nan])
def test_a_graph_that_predicts_otherwise_is_not_used(factor: float) -> None:
    history = make_history()
    reference, rows = fit(build_small(), history), to_arrays(history.columns)
    model = onnx.load_from_string(convert(reference.pipeline))
    for attribute in (each for node in model.graph.node for each in node.attribute):
        if attribute.name == "target_weights_as_tensor":
            leaves = numpy_helper.to_array(attribute.t) * factor
            attribute.t.CopyFrom(numpy_helper.from_array(leaves))
    graph = model.SerializeToString()
    with pytest.raises(Mismatch, match="rows of the history"):
        prove(reference, OnnxEngine(graph, reference.classes), graph, rows)
