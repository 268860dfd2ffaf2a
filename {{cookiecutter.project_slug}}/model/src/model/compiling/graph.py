"""What converters write: the nodes of a graph, one after the other."""

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from model.compiling.trees import Forest

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
