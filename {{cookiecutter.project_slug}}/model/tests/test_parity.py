"""The gate lets no compiled model pass that answers otherwise than scikit-learn does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import make_history
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from contract import FEATURES, TARGET, Column
from model import compile as module
from model import reference
from model.answer import Answer
from model.compile import compile_pipeline, convert
from model.compiled import Compiled
from model.evaluation import classes_of
from model.history import History
from model.parity import Mismatch, Proof, _ordinals, _values, prove, relative_error
from model.reference import Reference

FLOAT = Column("x", "FP64", optional=False)
Attributes = dict[str, onnx.AttributeProto]


def fit(history: History) -> Reference:
    """The default pipeline fitted to a history."""
    return Reference.fit(history.columns, history.targets, classes_of(history))


def compare(reference: Reference, graph: bytes, history: History) -> Proof:
    """What the gate says."""
    return prove(reference, Compiled(graph, reference.classes), graph, history)


def array(attributes: Attributes, name: str) -> Any:
    """The values of an attribute that holds a tensor."""
    return numpy_helper.to_array(attributes[name].t).copy()


def one_ulp(attributes: Attributes) -> None:
    """Move every threshold to the next smaller number."""
    moved = np.nextafter(array(attributes, "nodes_values_as_tensor"), -np.inf)
    attributes["nodes_values_as_tensor"].t.CopyFrom(numpy_helper.from_array(moved))


def less_than(attributes: Attributes) -> None:
    """Send a row that is right on a threshold to the other side."""
    modes = attributes["nodes_modes"].strings
    modes[:] = [b"BRANCH_LT" if mode == b"BRANCH_LEQ" else mode for mode in modes]


def other_leaves(attributes: Attributes) -> None:
    """Change every leaf by a ten thousandth."""
    leaves = array(attributes, "target_weights_as_tensor") * (1 + 1e-4)
    attributes["target_weights_as_tensor"].t.CopyFrom(numpy_helper.from_array(leaves))


def missing_elsewhere(attributes: Attributes) -> None:
    """Send missing values down the other branch."""
    tracks = attributes["nodes_missing_value_tracks_true"].ints
    tracks[:] = [1 - each for each in tracks]


def unseen_as_known(attributes: Attributes) -> None:
    """Take a category that was never seen for one that was."""
    keys, values = attributes["keys_strings"].strings, attributes["values_int64s"].ints
    attributes["default_int64"].i = values[list(keys).index(b"c, d")]


def of(*datatypes: str, optional: bool = False) -> list[Column]:
    """The first feature of these datatypes, if the contract has one."""
    found = [each for each in FEATURES if each.datatype in datatypes]
    return [each for each in found if each.optional or not optional][:1]


SPOILS: list[tuple[Callable[[Attributes], None], Column, str]] = [
    *((one_ulp, each, "at the splits") for each in of("FP64")),
    *((less_than, each, "at the splits") for each in of("FP64")),
    *((other_leaves, each, "of the history") for each in FEATURES[:1]),
    *((missing_elsewhere, each, "of the history") for each in of("FP64", "INT64", optional=True)),
    *((unseen_as_known, each, "never seen") for each in of("BYTES")),
]


@pytest.mark.parametrize(("spoil", "lead", "where"), SPOILS)
def test_a_spoilt_graph_does_not_pass(
    spoil: Callable[[Attributes], None], lead: Column, where: str
) -> None:
    history = make_history(lead=lead)
    reference = fit(history)
    graph = convert(reference.pipeline)
    assert compare(reference, graph, history).worst < 1e-5
    model = onnx.load_from_string(graph)
    kind = "LabelEncoder" if spoil is unseen_as_known else "TreeEnsembleRegressor"
    for node in model.graph.node:
        if node.op_type == kind:
            spoil({each.name: each for each in node.attribute})
    with pytest.raises(Mismatch, match=where):
        compare(reference, model.SerializeToString(), history)

{%- if ':float' in cookiecutter.features %}


def test_a_graph_that_compares_in_float32_does_not_pass() -> None:
    history = make_history(lead=of("FP64")[0])
    reference = fit(history)
    with pytest.raises(Mismatch, match=r"at the splits|at jumps"):
        compare(reference, convert(reference.pipeline, module.NUMBERS["float32"]), history)
{%- endif %}


@pytest.mark.parametrize("lead", of("BYTES", "FP64", "INT64"))
def test_categorical_features_that_were_converted_silently_do_not_pass(
    lead: Column, monkeypatch: pytest.MonkeyPatch
) -> None:
    """skl2onnx converts these trees as if they compared numbers, once it can convert them."""

    def build() -> Pipeline:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        columns = ColumnTransformer([("category", encoder, [lead.name])])
        boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return Pipeline([("columns", columns), ("e", boosting(categorical_features=[0]))])

    history = make_history(lead=lead)
    values = ["a", "b", "c", "d"] if lead.datatype == "BYTES" else [0.0, 1.0, 2.0, 3.0]
    columns = history.columns | {lead.name: [values[row % 4] for row in range(len(history))]}
    targets = sorted(history.targets)
    ends = [targets[-1], targets[0], targets[-1], targets[-1]]  # the second category is the other
    history = History(columns, [ends[row % 4] for row in range(len(history))], history.data)
    classes = classes_of(history)
    monkeypatch.setattr(reference, "build_pipeline", build)
    fitted = fit(history)
    assert "categorical_features" in str(compile_pipeline(fitted, history)[1].reason)
    boosting = type(fitted.pipeline[-1])
    theirs = f"Sklearn{boosting.__name__}"

    def converter(scope: Any, operator: Any, container: Any) -> None:
        get_converter(theirs)(scope, operator, Plain(container))

    monkeypatch.setattr(module, "CONVERTERS", {boosting: converter})
    monkeypatch.setattr(module, "SHAPES", {boosting: get_shape_calculator(theirs)})
    graph, compilation = compile_pipeline(fitted, history)
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


def test_every_kind_of_difference_counts() -> None:
    right = np.array([[0.2, 0.8], [0.6, 0.4]])
    names = np.array(["b", "a"], dtype=object)
    same = Answer(names, right)
    assert relative_error(same, same).tolist() == [0, 0]
    assert relative_error(Answer(names, right * [1, 1 + 1e-4]), same) == pytest.approx([1e-4] * 2)
    other = Answer(np.array(["b", "b"], dtype=object), right)
    assert relative_error(other, same).tolist() == [0, np.inf]
    wide = Answer(names, np.full((2, 3), 0.3))
    assert relative_error(wide, same).tolist() == [np.inf, np.inf]
    nothing = Answer(np.array([np.nan, 2.0]))
    assert relative_error(nothing, Answer(np.array([1.0, 2.0]))).tolist() == [np.inf, 0]
    assert relative_error(Answer(np.array([1.0])), Answer(np.array([-1.0]))).tolist() == [2]
    tiny = Answer(np.array([1e-13, 1.0])), Answer(np.array([0.0, 1.0]))
    assert relative_error(*tiny).max() < 1e-5


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_numbers_keep_their_order_as_integers(numbers: list[float]) -> None:
    values = np.array(numbers)
    ordinals = _ordinals(values, FLOAT)
    assert (_values(ordinals, FLOAT) == values).all()
    assert (np.sort(values) == values[np.argsort(ordinals, kind="stable")]).all()
    assert (_ordinals(np.nextafter(values, np.inf), FLOAT) - ordinals == 1)[values != 0].all()


def test_the_task_is_known() -> None:
    assert (fit(make_history()).classes is None) == (TARGET.datatype == "FP64")
