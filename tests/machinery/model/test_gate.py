"""The gate lets no compiled model pass that predicts otherwise than scikit-learn does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import build_small, make_history
from onnx import numpy_helper
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from contract import FEATURES, TARGET, Column
from contract.tolerance import TOLERANCE
from model.columns import Array, to_arrays
from model.compiling import compiler
from model.compiling.compiler import compile_pipeline, convert
from model.compiling.parity import Mismatch, prove
from model.engines.loading import Engine
from model.engines.onnx import OnnxEngine
from model.engines.predictions import Predictions
from model.engines.sklearn import SklearnEngine
from model.training.fitting import fit
from model.training.history import History

Attributes = dict[str, onnx.AttributeProto]
CLASSIFICATION = TARGET.kind != "float"


def fitted(lead: Column) -> tuple[SklearnEngine, dict[str, Array]]:
    """A small pipeline, and the rows that it was fitted to, whose targets follow a feature."""
    history = make_history(lead=lead)
    return fit(build_small(), history), to_arrays(history.columns)


def change(attributes: Attributes, name: str, function: Callable[[Any], Any]) -> None:
    """Change the numbers of an attribute that holds a tensor."""
    numbers = function(numpy_helper.to_array(attributes[name].t))
    attributes[name].t.CopyFrom(numpy_helper.from_array(numbers))


def one_ulp(attributes: Attributes) -> None:
    """Move every threshold to the next smaller number."""
    change(attributes, "nodes_values_as_tensor", lambda each: np.nextafter(each, -np.inf))


def less_than(attributes: Attributes) -> None:
    """Send a row that is right on a threshold to the other side."""
    modes = attributes["nodes_modes"].strings
    modes[:] = [b"BRANCH_LT" if mode == b"BRANCH_LEQ" else mode for mode in modes]


def other_leaves(attributes: Attributes) -> None:
    """Change every leaf by a ten thousandth."""
    change(attributes, "target_weights_as_tensor", lambda each: each * (1 + 1e-4))


def no_numbers(attributes: Attributes) -> None:
    """Make every prediction NaN."""
    change(attributes, "target_weights_as_tensor", lambda each: each * np.nan)


def missing_elsewhere(attributes: Attributes) -> None:
    """Send missing values down the other branch."""
    tracks = attributes["nodes_missing_value_tracks_true"].ints
    tracks[:] = [1 - each for each in tracks]


def unseen_as_known(attributes: Attributes, known: str = "a") -> None:
    """Take a category that was never seen for one that was."""
    keys, values = attributes["keys_strings"].strings, attributes["values_int64s"].ints
    attributes["default_int64"].i = values[list(keys).index(known.encode())]


def unlike_unseen(reference: SklearnEngine, rows: dict[str, Array], lead: Column) -> str:
    """A category of which something else is predicted than of one that was never seen."""

    def predicted(text: str) -> Any:
        row = {name: values[:1] for name, values in rows.items()}
        return reference.predict({**row, lead.name: np.array([text], object)}).numbers.tolist()

    return next(each for each in ("a", "c, d") if predicted(each) != predicted("never seen"))


def first(*kinds: str, optional: bool = False) -> list[Column]:
    """The first feature of these kinds, if the contract has one."""
    found = [each for each in FEATURES if each.kind in kinds]
    return [each for each in found if each.optional or not optional][:1]


BROKEN: list[tuple[Callable[[Attributes], None], Column, str]] = [
    *((one_ulp, each, "at the splits") for each in first("float")),
    *((less_than, each, "at the splits") for each in first("float")),
    (other_leaves, FEATURES[0], "of the history"),
    (no_numbers, FEATURES[0], "of the history"),
    *((missing_elsewhere, each, "of the history") for each in first("float", "int", optional=True)),
    *((unseen_as_known, each, "never seen") for each in first("category")),
]


@pytest.mark.parametrize(
    ("damage", "lead", "where"), BROKEN, ids=[each[0].__name__ for each in BROKEN]
)
def test_a_broken_graph_is_found(
    damage: Callable[[Attributes], None], lead: Column, where: str
) -> None:
    reference, rows = fitted(lead)
    graph = convert(reference.pipeline)
    proof = prove(reference, OnnxEngine(graph, reference.classes), graph, rows)
    assert proof.rows > len(rows[lead.name])
    assert proof.worst <= TOLERANCE
    model = onnx.load_from_string(graph)
    kind = "TreeEnsembleRegressor"
    if damage is unseen_as_known:
        kind, damage = "LabelEncoder", partial(damage, known=unlike_unseen(reference, rows, lead))
    for node in model.graph.node:
        if node.op_type == kind:
            damage({each.name: each for each in node.attribute})
    broken = model.SerializeToString()
    with pytest.raises(Mismatch, match=where):
        prove(reference, OnnxEngine(broken, reference.classes), broken, rows)


@dataclass
class FakeEngine:
    """Predicts what a function makes of another engine's predictions."""

    engine: Engine
    change: Callable[[Predictions], Predictions]
    name: str = "fake"

    def predict(self, arrays: Any, /) -> Predictions:
        """The predictions, changed."""
        return self.change(self.engine.predict(arrays))


def slightly_off(right: Predictions) -> Predictions:
    """The last row's number off by a ten thousandth, or its class's probability."""
    numbers = np.array(right.values if right.probabilities is None else right.probabilities)
    numbers[-1] = numbers[-1] * (1 + 1e-4)
    if right.probabilities is None:
        return Predictions(numbers)
    return Predictions(right.values, right.classes, numbers)


def another_class(right: Predictions) -> Predictions:
    """The last row's class another one, its probabilities the same."""
    values = right.values.copy()
    values[-1] = not values[-1] if TARGET.kind == "bool" else "another"
    return Predictions(values, right.classes, right.probabilities)


def a_class_less(right: Predictions) -> Predictions:
    """No probability of the last class."""
    assert right.probabilities is not None
    return Predictions(right.values, right.classes[:-1], right.probabilities[:, :-1])


@pytest.mark.parametrize(
    "change", [slightly_off, *([another_class, a_class_less] if CLASSIFICATION else [])]
)
def test_one_wrong_row_is_enough(change: Callable[[Predictions], Predictions]) -> None:
    reference, rows = fitted(FEATURES[0])
    with pytest.raises(Mismatch):
        prove(reference, FakeEngine(reference, change), convert(reference.pipeline), rows)


def test_numbers_next_to_zero_may_differ_by_what_float32_cannot_tell() -> None:
    reference, rows = fitted(FEATURES[0])
    zero = FakeEngine(reference, lambda right: Predictions(np.eye(1, len(right.values))[0]))
    tiny = FakeEngine(zero, lambda right: Predictions(right.values + 1e-13))
    assert prove(zero, tiny, convert(reference.pipeline), rows).worst < TOLERANCE


@pytest.mark.parametrize("lead", first("float"))
def test_a_graph_that_compares_in_float32_is_found(lead: Column) -> None:
    reference, rows = fitted(lead)
    graph = convert(reference.pipeline, FloatTensorType)
    with pytest.raises(Mismatch, match=r"at the splits|at jumps"):
        prove(reference, OnnxEngine(graph, reference.classes), graph, rows)


@pytest.mark.parametrize("lead", first("category") + first("float") + first("int"))
def test_categorical_features_that_were_converted_silently_are_found(
    lead: Column, monkeypatch: pytest.MonkeyPatch
) -> None:
    """skl2onnx converts these trees as if they compared numbers, once it can convert them."""
    history = make_history(lead=lead)
    values = ["a", "b", "c", "d"] if lead.kind == "category" else [0.0, 1.0, 2.0, 3.0]
    columns = {**history.columns, lead.name: [values[row % 4] for row in range(len(history))]}
    targets = sorted(history.targets)
    ends = [targets[-1], targets[0], targets[-1], targets[-1]]  # the second category is the other
    history = History(columns, [ends[row % 4] for row in range(len(history))], history.data)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosting = HistGradientBoostingClassifier if CLASSIFICATION else HistGradientBoostingRegressor
    steps = [
        ("columns", ColumnTransformer([("category", encoder, [lead.name])])),
        ("estimator", boosting(categorical_features=[0])),
    ]
    reference = fit(Pipeline(steps), history)
    rows = to_arrays(history.columns)
    assert "categorical_features" in str(compile_pipeline(reference, rows)[1].reason)
    theirs = f"Sklearn{boosting.__name__}"

    def converter(scope: Any, operator: Any, container: Any) -> None:
        get_converter(theirs)(scope, operator, Plain(container))

    monkeypatch.setattr(compiler, "CONVERTERS", {boosting: converter})
    monkeypatch.setattr(compiler, "SHAPES", {boosting: get_shape_calculator(theirs)})
    graph, compilation = compile_pipeline(reference, rows)
    assert graph is None
    assert "differ from scikit-learn's" in str(compilation.reason)


class Plain:
    """A container that takes numpy's integers for what they are, as that of skl2onnx does not."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> None:
        """Add a node whose attributes are Python's own."""
        plain = {
            name: [int(each) if isinstance(each, (np.integer, bool)) else each for each in value]
            if isinstance(value, list)
            else value
            for name, value in attributes.items()
        }
        self._container.add_node(*arguments, **plain)
