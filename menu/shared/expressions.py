"""What a compiled model computes, as expressions from which another language can be written.

The ONNX graph is run once, on symbols: its tensors become numpy arrays [1, columns] of numbers
that are known, and of an `Expression` for each that is not. Those operators are supported that the
pipelines here are compiled to; https://onnx.ai/onnx/operators/ says what they do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx

from model.artifacts.opening import open_store
from model.artifacts.verification import verify
from model.settings import load_settings

Array = np.ndarray[Any, Any]
FLOAT, DOUBLE, STRING = 1, 11, 8  # of onnx.TensorProto
LARGEST = np.finfo(float).max


class NotSupportedError(Exception):
    """A model computes what expressions lack; says what."""


@dataclass(frozen=True, eq=False)
class Expression:
    """A number (float64) that depends on the features; where it stands twice, it is one object.

    Attributes:
        kind: says what it is made `of`:
            number, text: the name of a feature; a missing number is NaN, a missing text "".
            add, sub, mul, truediv: two numbers. floor, exp: one. greatest: any.
            isnan: a number; a condition. ge: two numbers, the first at least the second; another.
            where: a condition, the number if it holds, the number if not.
            lookup: a text, a dict with the number for each known one, the number for all others.
            forest: a `Forest`, the numbers that its trees look at.
    """

    kind: str
    of: tuple[Any, ...]

    def __floor__(self) -> "Expression":
        return Expression("floor", (self,))

    def exp(self) -> "Expression":
        """What `numpy.exp` makes of it."""
        return Expression("exp", (self,))


for _kind in ("add", "sub", "mul", "truediv", "ge"):
    setattr(Expression, f"__{_kind}__", lambda one, two, kind=_kind: Expression(kind, (one, two)))
    setattr(Expression, f"__r{_kind}__", lambda one, two, kind=_kind: Expression(kind, (two, one)))


class Forest(NamedTuple):
    """Decision trees, whose leaves are added to the base in the order of their roots.

    At most the threshold goes left. The arrays are [nodes]; a leaf has no left, which is -1.
    """

    base: float
    roots: Array
    column: Array
    threshold: Array
    missing_left: Array
    left: Array
    right: Array
    value: Array


def current_version() -> tuple[str, Sequence[str], list[Any]]:
    """The name of the project's current version, its classes if any, and what it computes.

    Raises:
        ModelError: there is none, or it cannot be verified.
        NotSupportedError: it is not compiled, or to what expressions lack.
    """
    settings = load_settings()
    artifact = verify(open_store(settings).folder(), settings.model_verify_keys)
    manifest = artifact.manifest
    if manifest.compiled.reason:
        raise NotSupportedError(manifest.compiled.reason)
    return manifest.version, manifest.classes or (), expressions_of(artifact.content)


def expressions_of(model: bytes) -> list[Any]:
    """The last output of an ONNX model for one row: an expression for each of its numbers.

    Raises:
        NotSupportedError: there is none; names the operator.
    """
    graph = onnx.load_from_string(model).graph
    makers = {output: node for node in graph.node for output in node.output}
    known = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for each in graph.input:
        kind = {DOUBLE: "number", STRING: "text"}.get(each.type.tensor_type.elem_type, "single")
        known[each.name] = np.array([[Expression(kind, (each.name,))]])

    @cache
    def value_of(name: str) -> Array:
        if name in known:
            return known[name]
        node = makers[name]
        inputs = [value_of(each) for each in node.input]
        options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        try:
            return OPERATORS[node.op_type](*inputs, **options)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            fault = f"the operator {node.op_type} is not supported, or not as it is used"
            raise NotSupportedError(fault) from None

    outputs: list[Any] = value_of(graph.output[-1].name).ravel().tolist()
    if any(each.kind == "single" for each in in_order(outputs)):
        raise NotSupportedError("operators on float32 are not supported")
    return outputs


def in_order(expressions: Sequence[Any]) -> list[Expression]:
    """All that these are made of, each once, and after what it is made of itself."""
    done: dict[Expression, None] = {}

    def visit(of: Sequence[Any]) -> None:
        for each in of:
            if isinstance(each, Expression) and each not in done:
                visit(each.of)
                done[each] = None

    visit(expressions)
    return list(done)


def _each(function: Callable[..., Any], *arrays: Any) -> Array:
    result: Array = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return result


def _cast(values: Array, to: int) -> Array:
    single = {FLOAT: True, DOUBLE: False}[to]

    def cast(value: Any) -> Any:
        if not isinstance(value, Expression):
            return float(np.float32(value) if single else value)
        if value.kind in ("isnan", "ge"):
            return Expression("where", (value, 1.0, 0.0))
        return Expression("single", (value,)) if single and value.kind != "single" else value

    return _each(cast, values)


def _is_nan(values: Array) -> Array:
    return _each(lambda it: it.kind != "lookup" and Expression("isnan", (it,)), values)


def _where(conditions: Array, ones: Array, others: Array) -> Array:
    def choose(condition: Any, one: Any, other: Any) -> Any:
        if isinstance(condition, Expression):
            return Expression("where", (condition, one, other))
        return one if condition else other

    return _each(choose, conditions, ones, others)


def _label_encoder(
    texts: Array, keys_strings: Any, values_int64s: Any, default_int64: int
) -> Array:
    numbers = dict(zip((key.decode() for key in keys_strings), values_int64s, strict=True))
    return _each(lambda text: Expression("lookup", (text, numbers, default_int64)), texts)


def _rows(table: Array, numbers: Array) -> Array:
    """Rows of a table by numbers that are looked up; -1 is the last."""
    cells = [
        Expression("lookup", (text, {key: of[at] for key, at in known.items()}, of[other]))
        for text, known, other in (each.of for each in numbers.flat)
        for of in table.T.tolist()
    ]
    return np.array(cells).reshape(*numbers.shape, -1)


def _gather(data: Array, indices: Array, axis: int) -> Array:
    if indices.dtype == object:
        return _rows(data, indices)
    return np.take(data, indices, axis)


def _one_hot(numbers: Array, cats_int64s: Any, zeros: int) -> Array:
    ones = np.eye(len(cats_int64s))[cats_int64s]  # of other than 0, 1, 2, … an IndexError
    return _rows(np.vstack([ones, np.zeros_like(cats_int64s)]), numbers)


def _matmul(numbers: Array, weights: Array) -> Array:
    if not all(each.kind == "where" and each.of[0].kind == "ge" for each in numbers.flat):
        return np.asarray(numbers @ weights)
    # How many of many steps a number has taken: one tree, with a leaf before each and at the end.
    starts = np.nextafter([each.of[0].of[1] for each in numbers[0, 0]], -np.inf)
    count, none = len(starts), np.zeros(len(starts) + 1)
    left = np.append(np.arange(count) + count, none - 1).astype(int)
    right = np.concatenate([np.arange(1, count), [2 * count], none - 1]).astype(int)
    value = np.append(none[1:], np.cumsum([0.0, *weights]))
    tree = Forest(
        base=0.0,
        roots=np.array([0]),
        column=np.zeros_like(left),
        threshold=np.append(starts, none),
        missing_left=np.ones_like(left),
        left=left,
        right=right,
        value=value,
    )
    return np.array([[Expression("forest", (tree, each[0].of[0].of[0])) for each in numbers[0]]])


def _softmax(sums: Array, axis: int) -> Array:
    powers = np.exp(sums - Expression("greatest", tuple(sums.flat)))
    quotients: Array = powers / sum(powers.flat[1:], powers.flat[0])
    return quotients


def _forest(columns: Array, nodes_modes: Any, n_targets: int, **options: Any) -> Array:
    get = {name: np.array(value) for name, value in options.items() if "_as_tensor" not in name}
    for name in ("nodes_values", "target_weights", "base_values"):
        get[name] = onnx.numpy_helper.to_array(options[f"{name}_as_tensor"])
    if set(nodes_modes) - {b"LEAF", b"BRANCH_LEQ"} or "post_transform" in options:
        raise ValueError(nodes_modes)
    single = np.array([each.kind == "single" for each in columns.flat])[get["nodes_featureids"]]
    limits = np.clip(get["nodes_values"], -LARGEST, LARGEST)
    limits = np.where(single, _unrounded(limits), limits)
    numbers = [each.of[0] if each.kind == "single" else each for each in columns.flat]
    sums = []
    for target, base in enumerate(get["base_values"].tolist()):
        ends = get["target_ids"] == target
        trees, of_ends = np.unique(get["target_treeids"][ends], return_inverse=True)
        own = np.isin(get["nodes_treeids"], trees)
        roots, of_nodes = np.unique(
            get["nodes_treeids"][own], return_index=True, return_inverse=True
        )[1:]
        leaf = np.array(nodes_modes)[own] == b"LEAF"
        value = np.zeros(len(leaf))
        value[roots[of_ends] + get["target_nodeids"][ends]] = get["target_weights"][ends]
        forest = Forest(
            base,
            roots,
            get["nodes_featureids"][own],
            limits[own],
            get["nodes_missing_value_tracks_true"][own],
            np.where(leaf, -1, roots[of_nodes] + get["nodes_truenodeids"][own]),
            np.where(leaf, -1, roots[of_nodes] + get["nodes_falsenodeids"][own]),
            value,
        )
        sums.append(Expression("forest", (forest, *numbers)))
    return np.array([sums])


def _unrounded(limits: Array) -> Array:
    """The largest numbers that, rounded to float32, are at most so much."""
    below = limits.astype(np.float32)
    below = np.where(below > limits, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.nextafter(below, np.float32(np.inf))
    middle = (below.astype(float) + above.astype(float)) / 2  # which becomes the even one
    even: Array = below.view(np.uint32) % 2 == 0
    return np.asarray(np.where(even, middle, np.nextafter(middle, -np.inf)))


OPERATORS: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "Cast": _cast,
    "Concat": lambda *arrays, axis: np.concatenate(arrays, axis),
    "Div": np.divide,
    "Exp": np.exp,
    "Floor": np.floor,
    "Gather": _gather,
    "GreaterOrEqual": lambda one, two: np.greater_equal(one, two, dtype=object),
    "Identity": np.asarray,
    "IsNaN": _is_nan,
    "LabelEncoder": _label_encoder,
    "MatMul": _matmul,
    "Mul": np.multiply,
    "OneHotEncoder": _one_hot,
    "Reshape": np.reshape,
    "Sigmoid": lambda sums: 1.0 / (1.0 + np.exp(0.0 - sums)),
    "Softmax": _softmax,
    "Squeeze": lambda array, axes: np.squeeze(array, tuple(axes)),
    "Sub": np.subtract,
    "TreeEnsembleRegressor": _forest,
    "Unsqueeze": lambda array, axes: np.expand_dims(array, tuple(axes)),
    "Where": _where,
}
