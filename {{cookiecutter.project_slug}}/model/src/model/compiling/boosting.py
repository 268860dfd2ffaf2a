"""The trees of LightGBM and of XGBoost, packages that a team may add, in the form of `trees`.

Neither is imported here: an estimator of theirs brings its package along.
"""

import json
from typing import Any

import numpy as np

from model.compiling.trees import Forest, Tree

INVERSES: dict[Any, tuple[str, ...]] = {
    "Identity": (
        *("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
        *("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"),
    ),
    "Exp": ("poisson", "gamma", "tweedie", "count:poisson", "reg:gamma", "reg:tweedie"),
    "Sigmoid": ("binary", "binary:logistic", "reg:logistic"),
    "Softmax": ("multiclass", "multi:softprob"),
}
"""The objectives by what makes predictions of the sums; others are not supported."""


def boosted_by(estimator: Any) -> str | None:
    """Which of these packages an estimator is of, or a subclass of its own of one."""
    modules = (each.__module__.partition(".")[0] for each in type(estimator).__mro__)
    return next((each for each in modules if each in FORESTS), None)


def lightgbm_forest(estimator: Any) -> Forest:
    """Of its dump: https://lightgbm.readthedocs.io/en/stable/pythonapi/lightgbm.Booster.html."""
    dump = estimator.booster_.dump_model()
    objective, *options = dump.get("objective", "custom").split()
    inverse = _inverse(objective if "sqrt" not in options else "regression sqrt")
    targets, trees = dump["num_tree_per_iteration"], dump["tree_info"]
    if any(each["num_cat"] for each in trees):
        raise NotImplementedError("categorical splits")
    weight = targets / len(trees) if dump["average_output"] else 1.0
    weight *= next((float(each[8:]) for each in options if each.startswith("sigmoid:")), 1.0)
    found = [_lightgbm_tree(each, weight, number % targets) for number, each in enumerate(trees)]
    return Forest(found, np.zeros(targets), False, inverse)


def _lightgbm_tree(tree: Any, weight: float, target: int) -> Tree:
    nodes, children = [tree["tree_structure"]], []
    for node in nodes:  # which grows meanwhile
        if "leaf_coeff" in node:
            raise NotImplementedError("linear trees")
        if node.get("missing_type") == "Zero":
            raise NotImplementedError("zero_as_missing")
        inner = "split_feature" in node
        children.append((len(nodes), len(nodes) + 1) if inner else (0, 0))
        nodes += [node["left_child"], node["right_child"]] if inner else []
    threshold = np.array([node.get("threshold", 0.0) for node in nodes])
    default = np.array([node.get("default_left", False) for node in nodes])
    known = np.array([node.get("missing_type") == "NaN" for node in nodes])
    left, right = np.array(children).T
    return Tree(
        leaf=left == 0,
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=threshold,
        left=left,
        right=right,
        # Where training met no missing value, one counts as 0.
        missing_left=np.where(known, default, threshold >= 0),
        values=weight * np.array([[node.get("leaf_value", 0.0)] for node in nodes]),
        first=target,
    )


def xgboost_forest(estimator: Any) -> Forest:
    """Of its model in JSON: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html."""
    booster = estimator.get_booster()
    if (best := getattr(estimator, "best_iteration", None)) is not None:
        booster = booster[: best + 1]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    kind, inverse = learner["gradient_booster"]["name"], _inverse(learner["objective"]["name"])
    if kind != "gbtree" or not np.isnan(estimator.missing):
        raise NotImplementedError("another booster than gbtree, or another missing value than NaN")
    model = learner["gradient_booster"]["model"]
    margin = np.ravel(json.loads(learner["learner_model_param"]["base_score"])).astype(float)
    if inverse == "Sigmoid":
        margin = np.log(margin / (1 - margin))
    elif inverse == "Exp":
        margin = np.log(margin)
    targets = max(1, int(learner["learner_model_param"]["num_class"]))
    pairs = zip(model["trees"], model["tree_info"], strict=True)
    trees = [_xgboost_tree(tree, target) for tree, target in pairs]
    return Forest(trees, np.broadcast_to(margin, targets), True, inverse)


def _xgboost_tree(tree: Any, target: int) -> Tree:
    if any(tree["split_type"]) or tree["tree_param"]["size_leaf_vector"] not in ("0", "1"):
        raise NotImplementedError("categorical splits, or trees of several targets")
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    leaf = left == -1
    return Tree(
        leaf=leaf,
        feature=np.where(leaf, 0, tree["split_indices"]),
        # Less than this number is at most the float32 below it.
        threshold=np.where(leaf, 0, np.nextafter(condition, np.float32(-np.inf))),
        left=np.where(leaf, 0, left),
        right=np.where(leaf, 0, right),
        missing_left=np.array(tree["default_left"]),
        values=np.where(leaf, condition, 0)[:, None],
        first=target,
    )


def _inverse(objective: str) -> Any:
    for inverse, objectives in INVERSES.items():
        if objective in objectives:
            return inverse
    raise NotImplementedError(f"the objective {objective}")


FORESTS = {"lightgbm": lightgbm_forest, "xgboost": xgboost_forest}
