"""The trees in any of scikit-learn's tree estimators, in one form."""

from typing import Any, Literal, NamedTuple

import numpy as np

from model.columns import Array


class Tree(NamedTuple):
    """A decision tree by node: at most the threshold goes left.

    Attributes:
        leaf, feature, threshold, left, right, missing_left: [nodes].
        values: [nodes, targets], of which those of the leaves count.
        first: the number of the first target.
    """

    leaf: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    values: Array
    first: int


class Forest(NamedTuple):
    """Trees whose leaves are summed up.

    Attributes:
        trees: the trees.
        base: [targets], what the sums start from.
        rounded: whether numbers are rounded to float32 before they are compared.
        inverse: the operator of ONNX that makes predictions of the sums.
    """

    trees: list[Tree]
    base: Array
    rounded: bool
    inverse: Literal["Identity", "Exp", "Sigmoid", "Softmax"] = "Identity"


LOGIT: dict[str, Any] = {"LogitLink": "Sigmoid", "HalfLogitLink": "Sigmoid"}
INVERSES = {"IdentityLink": "Identity", "LogLink": "Exp", "MultinomialLogit": "Softmax", **LOGIT}


def forest_of(estimator: Any) -> Forest:
    """The trees of an estimator; raises NotImplementedError for a setting that ONNX lacks."""
    link = type(estimator._loss.link).__name__ if hasattr(estimator, "_loss") else "IdentityLink"
    inverse = INVERSES[link]
    if hasattr(estimator, "_predictors"):
        if estimator.is_categorical_ is not None:
            raise NotImplementedError("categorical_features")
        trees = [
            _binned_tree(tree.nodes, target)
            for iteration in estimator._predictors
            for target, tree in enumerate(iteration)
        ]
        return Forest(trees, np.ravel(estimator._baseline_prediction), False, inverse)
    if hasattr(estimator, "init_"):
        if estimator.init not in (None, "zero"):
            raise NotImplementedError("an init estimator")
        base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))
        factor = 2.0 if link == "HalfLogitLink" else 1.0
        trees = [
            _plain_tree(tree.tree_, factor * estimator.learning_rate, target)
            for iteration in estimator.estimators_
            for target, tree in enumerate(iteration)
        ]
        return Forest(trees, factor * np.ravel(base), True, inverse)
    members = getattr(estimator, "estimators_", [estimator])
    trees = [_plain_tree(member.tree_, 1 / len(members)) for member in members]
    return Forest(trees, np.zeros(trees[0].values.shape[1]), rounded=True)


def _binned_tree(nodes: Any, target: int) -> Tree:
    """A tree of gradient boosting on histograms."""
    leaf = nodes["is_leaf"].astype(bool)
    fields = ("feature_idx", "num_threshold", "left", "right", "missing_go_to_left")
    feature, threshold, left, right, missing = (np.where(leaf, 0, nodes[each]) for each in fields)
    values = nodes["value"][:, None]
    return Tree(leaf, feature, threshold, left, right, missing, values, target)


def _plain_tree(tree: Any, weight: float, target: int = 0) -> Tree:
    """A `sklearn.tree._tree.Tree`, whose leaves count so much."""
    leaf = tree.children_left == tree.children_right
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(leaf)))
    fields = (tree.feature, tree.threshold, tree.children_left, tree.children_right, missing)
    feature, threshold, left, right, missing = (np.where(leaf, 0, each) for each in fields)
    values = weight * tree.value[:, 0, :]
    return Tree(leaf, feature, threshold, left, right, missing, values, target)
