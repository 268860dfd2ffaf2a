"""The trees of LightGBM and of XGBoost, packages that a team may add, in the form of `trees`.

Neither is imported here: an estimator of theirs brings its package along.
"""

import json
from typing import Any

import numpy as np

from model.columns import Array
from model.compiling.trees import Forest, Tree

IDENTITY = "regression regression_l1 huber fair quantile mape reg:squarederror reg:absoluteerror"
EXP = "poisson gamma tweedie count:poisson reg:gamma reg:tweedie"
INVERSES: dict[str, Any] = {
    **dict.fromkeys([*IDENTITY.split(), "reg:pseudohubererror", "reg:quantileerror"], "Identity"),
    **dict.fromkeys(EXP.split(), "Exp"),
    **dict.fromkeys(["binary", "binary:logistic", "reg:logistic"], "Sigmoid"),
    **dict.fromkeys(["multiclass", "multi:softprob"], "Softmax"),
}
"""What makes predictions of the sums, by objective; others are not supported."""
ZERO = float(np.float32(1e-35))
"""Numbers no further from 0 than this are 0 to LightGBM."""


def boosted_by(estimator: Any) -> str | None:
    """Which of these packages an estimator is of, or a subclass of its own of one."""
    modules = (each.__module__.partition(".")[0] for each in type(estimator).__mro__)
    return next((each for each in modules if each in FORESTS), None)


def lightgbm_forest(estimator: Any) -> Forest:
    """Of its dump: https://lightgbm.readthedocs.io/en/stable/pythonapi/lightgbm.Booster.html."""
    dump = estimator.booster_.dump_model()
    objective, _, option = dump.get("objective", "custom").partition(" ")
    inverse = _inverse(objective + " sqrt" * (option == "sqrt"))
    targets, trees = dump["num_tree_per_iteration"], dump["tree_info"]
    if any(each["num_cat"] for each in trees):
        raise NotImplementedError("categorical splits")
    weight = targets / len(trees) if dump["average_output"] else 1.0
    weight *= float(option.removeprefix("sigmoid:")) if inverse == "Sigmoid" else 1.0
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

    def column(name: str, otherwise: Any) -> Array:
        return np.array([node.get(name, otherwise) for node in nodes])

    threshold, (left, right) = column("threshold", 0.0), np.array(children).T
    zero = np.abs(threshold) <= ZERO
    threshold[zero] = np.where(threshold[zero] < 0, np.nextafter(-ZERO, -1), ZERO)
    # Where training met no missing value, one counts as 0.
    default, met = column("default_left", False), column("missing_type", "") == "NaN"
    missing = np.where(met, default, threshold >= 0)
    values = weight * column("leaf_value", 0.0)[:, None]
    return Tree(
        left == 0, column("split_feature", 0), threshold, left, right, missing, values, target
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
    below = np.nextafter(condition, np.float32(-np.inf))  # less than a number is at most this one
    fields = (tree["split_indices"], below, left, right, tree["default_left"])
    feature, threshold, left, right, missing = (np.where(leaf, 0, each) for each in fields)
    return Tree(leaf, feature, threshold, left, right, missing, condition[:, None], target)


def _inverse(objective: str) -> Any:
    if objective not in INVERSES:
        raise NotImplementedError(f"the objective {objective}")
    return INVERSES[objective]


FORESTS = {"lightgbm": lightgbm_forest, "xgboost": xgboost_forest}
