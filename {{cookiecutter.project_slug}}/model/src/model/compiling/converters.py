"""Our own converters from scikit-learn to ONNX, where those of skl2onnx do not predict the same.

- Trees: scikit-learn compares with thresholds in float64. skl2onnx compares in float32, fails on
  the node numbers of gradient boosting on histograms, and does not see its `categorical_features`.
- One-hot encoding of texts, where skl2onnx fails as soon as rare categories count as one.
- Target encoding of texts, which skl2onnx outputs in float32.
- Logistic regression, for which skl2onnx uses an operator in float32.
- The trees of LightGBM and XGBoost, for which it has none.
- Imputation, for which ONNX Runtime has no operator in float64.
- What the calendar says of a moment, which is arithmetic of our own.

A converter gets the scope that makes up names, the operator with its inputs and outputs, and the
container that nodes are added to: https://onnx.ai/sklearn-onnx/auto_tutorial/plot_icustom_converter.html
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common import data_types
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn import ensemble, impute, linear_model, preprocessing, tree
from sklearn.base import ClassifierMixin

from model.compiling.boosting import FORESTS, boosted_by
from model.compiling.graph import ML, Graph, Numbers
from model.compiling.trees import forest_of
from model.moments import CalendarFeatures, calendar


def _sums(graph: Graph, operator: Any) -> tuple[str, str]:
    """What an operator adds up, and the operator that makes predictions of it."""
    estimator = operator.raw_operator
    if isinstance(estimator, linear_model.LogisticRegression):
        weights = graph.constant(TensorProto.DOUBLE, estimator.coef_.T)
        product = graph.add("MatMul", graph.input(operator, TensorProto.DOUBLE), weights)
        start = graph.constant(TensorProto.DOUBLE, [estimator.intercept_])
        sums = graph.add("Add", product, start, op_version=14)
        return sums, "Sigmoid" if len(estimator.coef_) == 1 else "Softmax"
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
    graph, encoder, blocks = Graph(scope, container), operator.raw_operator, []
    for index, (text, categories) in enumerate(_texts(graph, operator)):
        rare = encoder.infrequent_categories_[index] if encoder._infrequent_enabled else None
        kept = [each for each in categories if rare is None or each not in rare]
        other = -1 if rare is None else len(kept)
        numbers = [kept.index(each) if each in kept else other for each in categories]
        unseen = other if encoder.handle_unknown == "infrequent_if_exist" else -1
        number = graph.number(text, categories, numbers, unseen)
        columns = list(range(len(kept) + (rare is not None)))
        ones: Any = {"op_domain": ML, "op_version": 1, "cats_int64s": columns, "zeros": 1}
        block = graph.add("OneHotEncoder", number, **ones)
        blocks.append(graph.add("Cast", block, to=TensorProto.DOUBLE))
    _columns(graph, operator, blocks)


def _target_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Each text becomes a number, and that a row of a table; of one never seen, the last row."""
    graph, encoder, blocks = Graph(scope, container), operator.raw_operator, []
    means = np.ravel(encoder.target_mean_)  # of a multi-class target one for each class
    for index, (text, categories) in enumerate(_texts(graph, operator)):
        known = encoder.encodings_[index * len(means) : (index + 1) * len(means)]
        table = graph.constant(TensorProto.DOUBLE, np.vstack([np.transpose(known), means]))
        count = len(categories)
        number = graph.number(text, categories, list(range(count)), count)
        blocks.append(graph.add("Gather", table, number, axis=0))
    _columns(graph, operator, blocks)


def _texts(graph: Graph, operator: Any) -> Iterator[tuple[str, list[str]]]:
    """The columns of all inputs of an encoder, each [rows, 1], with their categories."""
    known = iter(operator.raw_operator.categories_)
    for each in operator.inputs:
        for place in range(each.type.shape[1]):
            chosen = graph.constant(TensorProto.INT64, [place])
            yield graph.add("Gather", each.full_name, chosen, axis=1), next(known).tolist()


def _columns(graph: Graph, operator: Any, blocks: list[str]) -> None:
    """Blocks [rows, 1, columns], side by side."""
    second = graph.constant(TensorProto.INT64, [1])
    flat = [graph.add("Squeeze", block, second) for block in blocks]
    graph.add("Concat", *flat, axis=1, output=operator.outputs[0].full_name)


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    graph, imputer = Graph(scope, container), operator.raw_operator
    values = graph.input(operator, TensorProto.DOUBLE)
    statistics = graph.constant(TensorProto.DOUBLE, [imputer.statistics_])
    missing, output = graph.add("IsNaN", values), operator.outputs[0].full_name
    graph.add("Where", missing, statistics, values, output=output, op_version=9)


def _replaces_nan(operator: Any) -> bool:
    """Whether an imputer replaces NaN among float64 by a number, and does nothing else."""
    imputer = operator.raw_operator
    numbers = all(isinstance(each.type, data_types.DoubleTensorType) for each in operator.inputs)
    return (
        numbers
        and imputer.indicator_ is None
        and imputer.missing_values is np.nan
        and bool(np.isfinite(imputer.statistics_.astype(float)).all())
    )


def _has_texts(operator: Any) -> bool:
    texts = all(isinstance(each.type, data_types.StringTensorType) for each in operator.inputs)
    return texts and getattr(operator.raw_operator, "drop", None) is None


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


def _width(operator: Any) -> None:
    width = len(operator.raw_operator.get_feature_names_out())
    operator.outputs[0].type = data_types.DoubleTensorType([None, width])


def _where(supported: Callable[[Any], bool], convert: Any, name: str) -> tuple[Any, Any]:
    """A converter of ours where it supports an operator, else skl2onnx's; and its shapes."""

    def converter(scope: Any, operator: Any, container: Any) -> None:
        (convert if supported(operator) else get_converter(name))(scope, operator, container)

    def shapes(operator: Any) -> None:
        (_width if supported(operator) else get_shape_calculator(name))(operator)

    return converter, shapes


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
        linear_model.LogisticRegression,
    ),
    _where(_has_texts, _one_hot, "SklearnOneHotEncoder"): (preprocessing.OneHotEncoder,),
    _where(_has_texts, _target_encoder, "SklearnTargetEncoder"): (preprocessing.TargetEncoder,),
    _where(_replaces_nan, _imputer, "SklearnImputer"): (impute.SimpleImputer,),
    (_calendar, _width): (CalendarFeatures,),
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
