"""One prediction, explained: by how much each feature moves it from that for a typical row.

A contribution is a Shapley value (Shapley 1953; for predictions Štrumbelj & Kononenko 2014): how
much the prediction changes when the feature takes its own value in place of the typical one, on
average over all orders in which the features can do so. This asks for predictions alone, so any
pipeline can be explained, whatever engine runs it. Of a linear model it is the coefficient times
the difference from typical.
"""

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import Column, ContractError
from contract.explanation import Contribution, Explanation
from contract.types import KINDS
from model.artifacts.manifest import Observed
from model.columns import Columns, row_count, to_arrays, to_values
from model.engines.loading import Model

ROWS = 4_000
"""The most rows to predict for one explanation, unless there are thousands of features."""
Floats = npt.NDArray[np.float64]
Worth = Callable[[npt.NDArray[np.bool_]], Floats]
"""The prediction for each of some sets of features [sets, features] that have their own value."""


def explain(model: Model, columns: Columns) -> Explanation:
    """The explanation of the prediction for one row: always the same for the same row.

    Features that are typical add nothing. Of up to 11 others all sets are predicted, and the
    contributions are exact; of more as many orders as `ROWS` allows.

    Raises:
        ContractError: there are more rows.
        ArithmeticError: a prediction for a mixture of the row and the typical one is not finite.
    """
    if (rows := row_count(columns)) != 1:
        raise ContractError(f"{rows} rows, and one at a time can be explained")
    kinds, observed = model.manifest.features, model.manifest.observed
    features = [Column(name, kind.rstrip("?"), kind.endswith("?")) for name, kind in kinds.items()]
    arrays = to_arrays(columns, kinds)
    own = {each.name: to_values(arrays[each.name], each)[0] for each in features}
    typical = {each.name: _typical(observed[each.name], each) for each in features}
    pairs = to_arrays({name: [typical[name], own[name]] for name in own}, kinds)
    changed = [name for name in own if own[name] != typical[name]]
    ends = model.predict(pairs)
    place = int(ends.numbers[1].argmax())

    def worth(sets: npt.NDArray[np.bool_]) -> Floats:
        picked = dict.fromkeys(pairs, np.zeros(len(sets), int))
        picked |= zip(changed, sets.T.astype(int), strict=True)
        mixed = {name: pair[picked[name]] for name, pair in pairs.items()}
        return model.predict(mixed).numbers[:, place]

    exact = 2 ** len(changed) <= ROWS
    values = (shapley_values if exact else estimated_values)(worth, len(changed))
    added = dict.fromkeys(pairs, 0.0) | dict(zip(changed, values.tolist(), strict=True))
    return Explanation(
        version=model.manifest.version,
        of=ends.classes[place] if ends.classes else None,
        typical=ends.numbers[0, place],
        prediction=ends.numbers[1, place],
        exact=exact,
        contributions=[
            Contribution(feature=name, value=own[name], typical=typical[name], contribution=number)
            for name, number in added.items()
        ],
    )


def shapley_values(worth: Worth, features: int) -> Floats:
    """The Shapley value of each feature, by all 2^features sets."""
    sets = np.arange(2**features)
    members = (sets[:, None] >> np.arange(features)) & 1 == 1
    worths, sizes = worth(members), members.sum(axis=1)
    weights = np.array([1 / (features * comb(features - 1, size)) for size in range(features)])
    values = np.empty(features)
    for feature in range(features):
        others = sets[~members[:, feature]]
        gains = worths[others | 1 << feature] - worths[others]
        values[feature] = weights[sizes[others]] @ gains
    return values


def estimated_values(worth: Worth, features: int) -> Floats:
    """About the Shapley value of each feature, by some orders, each with its reverse.

    These are drawn once and for all. Permutation sampling: Castro, Gómez & Tejada 2009; the
    reverses take out much of its variance: Mitchell, Cooper, Frank & Holmes 2022.
    """
    draw = np.random.default_rng(0)
    orders = [draw.permutation(features) for _ in range(max(1, ROWS // (2 * features + 2)))]
    ranks = np.argsort([*orders, *(each[::-1] for each in orders)], axis=1)
    members = ranks[:, None, :] < np.arange(features + 1)[:, None]  # [orders, steps, features]
    worths = worth(members.reshape(-1, features)).reshape(len(ranks), -1)
    values: Floats = np.take_along_axis(np.diff(worths), ranks, axis=1).mean(axis=0)
    return values


def _typical(observed: Observed, column: Column) -> Any:
    """The median, or the most frequent value; None if most rows had none."""
    if observed.missing > 0.5:
        return None
    if shares := observed.shares:
        return KINDS[column.kind].parse(max(shares, key=lambda each: shares[each]))
    quantiles = np.array(observed.quantiles)
    return to_values(quantiles[len(quantiles) // 2 :], column)[0]
