"""Our own converters from scikit-learn to ONNX, where those of skl2onnx do not predict the same.

- Trees: scikit-learn compares with thresholds in float64. skl2onnx compares in float32, fails on
  the node numbers of gradient boosting on histograms, and does not see its `categorical_features`.
- One-hot encoding of texts, where skl2onnx fails as soon as rare categories count as one.
- Target encoding of texts, which skl2onnx outputs in float32.
- The trees of LightGBM and XGBoost, for which it has none.
- Imputation, for which ONNX Runtime has no operator in float64.
- What the calendar says of a moment, which is arithmetic of our own.

A converter gets the scope that makes up names, the operator with its inputs and outputs, and the
container that nodes are added to: https://onnx.ai/sklearn-onnx/auto_tutorial/plot_icustom_converter.html
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common import data_types
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn import ensemble, impute, preprocessing, tree
from sklearn.base import ClassifierMixin

from model.compiling.boosting import FORESTS, boosted_by
from model.compiling.trees import Forest, forest_of
from model.moments import CalendarFeatures, calendar

ML = "ai.onnx.ml"
MOST_NODES = 2_000_000
"""In all trees together: a graph of more would take gigabytes to make."""


class Graph:
    """Adds nodes one after the other, and makes up the names between them."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; the name of its output."""
        output = output or str(self._scope.get_unique_variable_name(kind))
        attributes.setdefault("op_version", 2 if kind == "LabelEncoder" else 13)
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), [output], name=name, **attributes)
        return output

    def constant(self, kind: int, values: Any) -> str:
        """A constant of this shape."""
        array = np.asarray(values)
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return name

    def input(self, operator: Any, kind: int) -> str:
        """All inputs of an operator as one, of this type."""
        columns = [self.add("Cast", each.full_name, to=kind) for each in operator.inputs]
        return self.add("Concat", *columns, axis=1)

    def number(self, text: str, texts: list[str], numbers: list[int], other: int) -> str:
        """The number of each text, and another for one that is not among them."""
        keys: dict[str, Any] = {"keys_strings": texts, "values_int64s": numbers}
        return self.add("LabelEncoder", text, op_domain=ML, default_int64=other, **keys)

    def forest(self, values: str, forest: Forest) -> str:
        """The sums of a forest, float64 [rows, targets].

        The operator: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html. With
        thresholds and inputs of float64 ONNX Runtime adds up in float64 and outputs float32.
        """
        if (count := sum(len(nodes.leaf) for nodes in forest.trees)) > MOST_NODES:
            raise NotImplementedError(f"{count} nodes in its trees, more than {MOST_NODES}")
        columns: dict[str, Any] = {}
        for number, nodes in enumerate(forest.trees):
            leaves, targets = np.nonzero(np.broadcast_to(nodes.leaf[:, None], nodes.values.shape))
            for name, array in {
                "nodes_treeids": np.full(len(nodes.leaf), number),
                "nodes_nodeids": np.arange(len(nodes.leaf)),
                "nodes_modes": np.where(nodes.leaf, "LEAF", "BRANCH_LEQ"),
                "nodes_featureids": nodes.feature.astype(int),
                "nodes_truenodeids": nodes.left.astype(int),
                "nodes_falsenodeids": nodes.right.astype(int),
                "nodes_missing_value_tracks_true": nodes.missing_left.astype(int),
                "nodes_values_as_tensor": nodes.threshold.astype(float),
                "target_treeids": np.full(len(leaves), number),
                "target_nodeids": leaves,
                "target_ids": nodes.first + targets,
                "target_weights_as_tensor": nodes.values[leaves, targets],
            }.items():
                columns.setdefault(name, []).extend(array.tolist())
        columns["base_values_as_tensor"] = forest.base
        for name in [each for each in columns if each.endswith("_as_tensor")]:
            columns[name] = numpy_helper.from_array(np.array(columns[name]))
        columns["n_targets"] = len(forest.base)
        sums = self.add("TreeEnsembleRegressor", values, op_domain=ML, op_version=3, **columns)
        return self.add("Cast", sums, to=TensorProto.DOUBLE)


def _sums(graph: Graph, operator: Any) -> tuple[str, str]:
    """What the trees of an operator add up to, and the operator that makes predictions of it."""
    estimator = operator.raw_operator
    try:
        forest = FORESTS.get(boosted_by(estimator) or "", forest_of)(estimator)
        kind = TensorProto.FLOAT if forest.rounded else TensorProto.DOUBLE
        values = graph.add("Cast", graph.input(operator, kind), to=TensorProto.DOUBLE)
        return graph.forest(values, forest), forest.inverse
    except NotImplementedError as error:
        name = type(estimator).__name__
        raise NotImplementedError(f"{name} cannot be compiled with {error}") from None


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    graph, output = Graph(scope, container), operator.outputs[0].full_name
    sums, inverse = _sums(graph, operator)
    graph.add(inverse, sums, output=output)


def _regressor_shape(operator: Any) -> None:
    operator.outputs[0].type = data_types.DoubleTensorType([None, 1])


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    label, probabilities = (each.full_name for each in operator.outputs)
    sums, inverse = _sums(graph, operator)
    if inverse == "Sigmoid":
        second = graph.add("Sigmoid", sums)
        one = graph.constant(TensorProto.DOUBLE, [1.0])
        first = graph.add("Sub", one, second, op_version=14)
        graph.add("Concat", first, second, axis=1, output=probabilities)
    else:
        axis = {"axis": 1} if inverse == "Softmax" else {}
        graph.add(inverse, sums, output=probabilities, **axis)
    graph.add("ArgMax", probabilities, output=label, axis=1, keepdims=0)


def _classifier_shape(operator: Any) -> None:
    operator.outputs[0].type = data_types.Int64TensorType([None])
    operator.outputs[1].type = data_types.DoubleTensorType(
        [None, len(operator.raw_operator.classes_)]
    )


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Each text becomes the number of its column, and that a one among zeros.

    A text that was never seen becomes the number of the rare ones' column, or -1, which is none.
    """
    if not _is_plain(operator):
        get_converter("SklearnOneHotEncoder")(scope, operator, container)
        return
    graph, encoder = Graph(scope, container), operator.raw_operator
    blocks = []
    for index, text in enumerate(_single_columns(graph, operator)):
        categories = encoder.categories_[index].tolist()
        rare = encoder.infrequent_categories_[index] if encoder._infrequent_enabled else None
        kept = [each for each in categories if rare is None or each not in rare]
        other = -1 if rare is None else len(kept)
        numbers = [kept.index(each) if each in kept else other for each in categories]
        unseen = other if encoder.handle_unknown == "infrequent_if_exist" else -1
        number = graph.number(text, categories, numbers, unseen)
        columns = list(range(len(kept) + (rare is not None)))
        block = graph.add(
            "OneHotEncoder", number, op_domain=ML, op_version=1, cats_int64s=columns, zeros=1
        )
        shape = graph.constant(TensorProto.INT64, [-1, len(columns)])
        blocks.append(graph.add("Reshape", block, shape, op_version=14))
    graph.add("Concat", *blocks, axis=1, output=operator.outputs[0].full_name)


def _one_hot_shape(operator: Any) -> None:
    if _is_plain(operator):
        width = len(operator.raw_operator.get_feature_names_out())
        operator.outputs[0].type = data_types.FloatTensorType([None, width])
    else:
        get_shape_calculator("SklearnOneHotEncoder")(operator)


def _is_plain(operator: Any) -> bool:
    """Whether our own converter supports the encoder's settings."""
    return _has_texts(operator) and operator.raw_operator.drop is None


def _has_texts(operator: Any) -> bool:
    return all(isinstance(each.type, data_types.StringTensorType) for each in operator.inputs)


def _single_columns(graph: Graph, operator: Any) -> Iterator[str]:
    """The columns of all inputs, each [rows, 1]."""
    for each in operator.inputs:
        for position in range(each.type.shape[1]):
            chosen = graph.constant(TensorProto.INT64, [position])
            yield graph.add("Gather", each.full_name, chosen, axis=1)


def _target_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Each text becomes a number, and that a row of a table; of one never seen, the last row."""
    if not _has_texts(operator):
        get_converter("SklearnTargetEncoder")(scope, operator, container)
        return
    graph, encoder = Graph(scope, container), operator.raw_operator
    means = np.ravel(encoder.target_mean_)
    blocks = []
    for index, text in enumerate(_single_columns(graph, operator)):
        categories = encoder.categories_[index].tolist()
        columns = encoder.encodings_[index * len(means) : (index + 1) * len(means)]
        number = graph.number(text, categories, [*range(len(categories))], len(categories))
        table = graph.constant(TensorProto.DOUBLE, np.vstack([np.transpose(columns), means]))
        shape = graph.constant(TensorProto.INT64, [-1, len(means)])
        rows = graph.add("Gather", table, number, axis=0)
        blocks.append(graph.add("Reshape", rows, shape, op_version=14))
    graph.add("Concat", *blocks, axis=1, output=operator.outputs[0].full_name)


def _target_encoder_shape(operator: Any) -> None:
    if _has_texts(operator):
        width = len(operator.raw_operator.encodings_)
        operator.outputs[0].type = data_types.DoubleTensorType([None, width])
    else:
        get_shape_calculator("SklearnTargetEncoder")(operator)


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    if not _is_float64(operator):
        get_converter("SklearnImputer")(scope, operator, container)
        return
    graph, imputer = Graph(scope, container), operator.raw_operator
    values = graph.input(operator, TensorProto.DOUBLE)
    statistics = graph.constant(TensorProto.DOUBLE, [imputer.statistics_])
    missing, output = graph.add("IsNaN", values), operator.outputs[0].full_name
    graph.add("Where", missing, statistics, values, output=output, op_version=9)


def _imputer_shape(operator: Any) -> None:
    if _is_float64(operator):
        width = len(operator.raw_operator.statistics_)
        operator.outputs[0].type = data_types.DoubleTensorType([None, width])
    else:
        get_shape_calculator("SklearnImputer")(operator)


def _is_float64(operator: Any) -> bool:
    """Whether the imputer replaces NaN among float64 by a number, and does nothing else."""
    imputer = operator.raw_operator
    numbers = all(isinstance(each.type, data_types.DoubleTensorType) for each in operator.inputs)
    return (
        numbers
        and imputer.indicator_ is None
        and imputer.missing_values is np.nan
        and bool(np.isfinite(imputer.statistics_.astype(float)).all())
    )


class Numbers:
    """Numbers in a graph, on which the arithmetic of Python adds nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def _with(self, kind: str, other: "Numbers | float") -> "Numbers":
        if not isinstance(other, Numbers):
            other = Numbers(self.graph, self.graph.constant(TensorProto.DOUBLE, [float(other)]))
        return Numbers(self.graph, self.graph.add(kind, self.name, other.name, op_version=14))

    def __add__(self, other: "Numbers | float") -> "Numbers":
        return self._with("Add", other)

    def __sub__(self, other: "Numbers | float") -> "Numbers":
        return self._with("Sub", other)

    def __mul__(self, other: "Numbers | float") -> "Numbers":
        return self._with("Mul", other)

    def __truediv__(self, other: "Numbers | float") -> "Numbers":
        return self._with("Div", other)

    def floor(self) -> "Numbers":
        """The largest whole numbers that are not above."""
        return Numbers(self.graph, self.graph.add("Floor", self.name))


def _calendar(scope: Any, operator: Any, container: Any) -> None:
    graph, features = Graph(scope, container), operator.raw_operator
    moments = Numbers(graph, graph.input(operator, TensorProto.DOUBLE))
    first = Numbers(graph, graph.constant(TensorProto.DOUBLE, [features.first_]))
    local = moments + float(features.offsets_[0])
    if len(features.turns_):  # the steps of the offset up to each moment, added up
        column = graph.add("Unsqueeze", moments.name, graph.constant(TensorProto.INT64, [2]))
        turns = graph.constant(TensorProto.DOUBLE, features.turns_)
        later = graph.add("GreaterOrEqual", column, turns, op_version=16)
        later = graph.add("Cast", later, to=TensorProto.DOUBLE)
        steps = graph.constant(TensorProto.DOUBLE, np.diff(features.offsets_))
        local = local + Numbers(graph, graph.add("MatMul", later, steps))
    numbers = calendar(moments, local, first, Numbers.floor)
    output = operator.outputs[0].full_name
    graph.add("Concat", *(each.name for each in numbers), axis=1, output=output)


def _calendar_shape(operator: Any) -> None:
    width = len(operator.raw_operator.get_feature_names_out())
    operator.outputs[0].type = data_types.DoubleTensorType([None, width])


SUPPORTED = {
    (_regressor, _regressor_shape): (
        tree.DecisionTreeRegressor,
        ensemble.ExtraTreesRegressor,
        ensemble.GradientBoostingRegressor,
        ensemble.HistGradientBoostingRegressor,
        ensemble.RandomForestRegressor,
    ),
    (_classifier, _classifier_shape): (
        tree.DecisionTreeClassifier,
        ensemble.ExtraTreesClassifier,
        ensemble.GradientBoostingClassifier,
        ensemble.HistGradientBoostingClassifier,
        ensemble.RandomForestClassifier,
    ),
    (_one_hot, _one_hot_shape): (preprocessing.OneHotEncoder,),
    (_target_encoder, _target_encoder_shape): (preprocessing.TargetEncoder,),
    (_imputer, _imputer_shape): (impute.SimpleImputer,),
    (_calendar, _calendar_shape): (CalendarFeatures,),
}
CONVERTERS = {each: pair[0] for pair, kinds in SUPPORTED.items() for each in kinds}
SHAPES = {each: pair[1] for pair, kinds in SUPPORTED.items() for each in kinds}


def register_boosting(pipeline: Any) -> None:
    """Make the estimators of LightGBM and XGBoost in a pipeline known to skl2onnx."""
    for step in filter(boosted_by, pipeline.get_params().values()):
        if isinstance(step, ClassifierMixin):
            shape, convert, options = _classifier_shape, _classifier, {"zipmap": [True, False]}
        else:
            shape, convert, options = _regressor_shape, _regressor, None
        kind = type(step)
        update_registered_converter(kind, kind.__name__, shape, convert, True, options=options)
