"""Which rows a model learns from, on which it is judged, and the folds of a search among models."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold, TimeSeriesSplit

from contract.types import KINDS
from model.columns import Array, text_of
from model.errors import ModelError
from model.training.history import History

LATER_SHARE = 0.2
FOLDS = 5

Rows = npt.NDArray[np.intp]
"""Rows by their numbers."""


def past_and_later(history: History) -> tuple[Rows, Rows]:
    """About 80 % of the rows to learn from, and the others to be judged on.

    Raises:
        ModelError: the rows cannot be split so.
    """
    (how, _, by), count = history.split.partition(":"), len(history)
    if {"order": False, "shuffled": False, "time": True, "group": True}.get(how) != bool(by):
        ways = "order, shuffled, time:<column> or group:<column>"
        raise ModelError(f"SPLIT in model/src/model/pipeline.py is {history.split!r}, not {ways}")
    if how == "group":
        groups = _groups(history.keys)
        if len(set(groups.tolist())) < 2:
            raise ModelError(f"SPLIT {history.split}: all rows are of one group; choose another")
        splitter = GroupShuffleSplit(1, test_size=LATER_SHARE, random_state=0)
        past, later = next(splitter.split(groups, groups=groups))
        return past, later
    order = np.arange(count)
    if how == "shuffled":
        order = np.random.default_rng(0).permutation(count)
    elif how == "time":
        try:
            moments = [_moment(value) for value in history.keys]
        except ValueError as error:
            fault = f"SPLIT {history.split}: a value {error}, or a number"
            raise ModelError(f"{fault}; correct it, or choose another") from None
        order = np.argsort(moments, kind="stable")
    past_count = count - round(LATER_SHARE * count)
    return order[:past_count], order[past_count:]


def folds_of(past: History) -> list[tuple[Rows, Rows]]:
    """Pairs of rows to learn from and rows to be scored on, by the same rule as `past_and_later`.

    Where earlier rows come first, the last four tenths are scored on, each after all before it.
    None from which nothing can be learnt: of one class, or with a feature that has no value yet.
    """
    how, rows = past.split.partition(":")[0], np.arange(len(past))
    if how == "group":
        groups = _groups(past.keys)
        count = min(FOLDS, len(set(groups.tolist())))
        pairs = GroupKFold(count).split(rows, groups=groups) if count > 1 else ()
    elif how == "shuffled":
        pairs = KFold(FOLDS, shuffle=True, random_state=0).split(rows)
    else:
        tenth = max(len(rows) // 10, 1)
        pairs = TimeSeriesSplit(FOLDS - 1, test_size=tenth).split(rows)
    return [(train, test) for train, test in pairs if _is_enough(past.part(train), past)]


def _is_enough(part: History, whole: History) -> bool:
    classes = not whole.classes or len(set(part.targets)) > 1
    return classes and part.empty == whole.empty


def _groups(keys: Sequence[Any] | Array) -> Rows:
    """The number of each row's group; all rows without one are a group."""
    return np.unique([text_of(key) for key in keys], return_inverse=True)[1]


def _moment(value: Any) -> float:
    """A number or a moment as something to sort by, before all others where it is missing."""
    if value is None or value != value or value == "":
        return -np.inf
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
        value = KINDS["datetime"].parse(value)
    return value.timestamp() if isinstance(value, datetime) else float(value)
