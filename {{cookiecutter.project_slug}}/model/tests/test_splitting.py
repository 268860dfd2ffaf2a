"""What a model is judged on it has not seen, and the best of the candidates is chosen alike."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_history, train, write_csv
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import GridSearchCV

from contract import INPUTS, TARGET
from model.artifacts.manifest import METRIC
from model.errors import ModelError
from model.training import search as search_module
from model.training.history import History, read_history
from model.training.search import choose
from model.training.splitting import folds_of, past_and_later

ROWS = 60
MOMENTS = ["2026-11-27T08:00:00Z", "2026-11-27 07:59:59.5+00:00", "2026-11-26", "", "2027-01-01"]


def split_by(split: str, keys: Any = ()) -> History:
    return replace(make_history(len(keys) or ROWS), split=split, keys=keys)


def test_as_they_stand_the_last_fifth_is_later() -> None:
    past, later = past_and_later(split_by("order"))
    assert [*past, *later] == [*range(ROWS)]
    assert len(later) == ROWS // 5
    for one, other in folds_of(split_by("order")):
        assert max(one) < min(other)


def test_shuffled_any_fifth_is_later_and_always_the_same() -> None:
    past, later = past_and_later(split_by("shuffled"))
    assert sorted([*past, *later]) == [*range(ROWS)]
    assert len(later) == ROWS // 5
    assert sorted(later) != [*range(ROWS - len(later), ROWS)]
    assert past_and_later(split_by("shuffled"))[1].tolist() == later.tolist()
    tests = [row for _, test in folds_of(split_by("shuffled")) for row in test]
    assert sorted(tests) == [*range(ROWS)]


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        (MOMENTS, [3, 2, 1, 0, 4]),
        (["10", "9.5", "1e1", "", "-3"], [3, 4, 1, 0, 2]),
        (np.array([5.0, np.nan, 3.0, 5.0, np.nan]), [1, 4, 2, 0, 3]),
    ],
)
def test_by_time_the_latest_fifth_is_later_and_unknown_times_come_first(
    keys: Any, order: list[int]
) -> None:
    past, later = past_and_later(split_by("time:at", keys))
    assert [*past, *later] == order
    assert len(later) == 1


def test_by_group_none_is_on_both_sides() -> None:
    draw = random.Random(0)
    keys = [draw.choice(["a", "b", "c", "d", "e", "", None]) for _ in range(ROWS)]
    history = split_by("group:who", keys)
    past, later = past_and_later(history)
    assert sorted([*past, *later]) == [*range(ROWS)]
    for one, other in [(past, later), *folds_of(history)]:
        assert len(other)
        assert not {keys[row] or "" for row in one} & {keys[row] or "" for row in other}
    with pytest.raises(ModelError, match="SPLIT group:who: all rows are of one group"):
        past_and_later(split_by("group:who", ["a"] * ROWS))


@pytest.mark.parametrize("split", ["", "random", "time", "time:", "order:at"])
def test_a_split_that_is_none_is_explained(split: str) -> None:
    with pytest.raises(ModelError, match=r"SPLIT in .*pipeline.py.*time:<column>"):
        past_and_later(split_by(split))


def test_a_time_that_is_none_is_explained() -> None:
    with pytest.raises(ModelError, match=r"SPLIT time:at: .*'soon'"):
        past_and_later(split_by("time:at", ["1", "soon"]))


def test_the_column_to_split_by_is_read_from_the_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "history.csv", make_history(3))
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(f"{line},{at}" for line, at in zip(lines, "k312", strict=True)))
    history = read_history(path, "time:k")
    assert (history.split, [*history.keys], history.warning) == ("time:k", ["3", "1", "2"], None)
    assert history.part(np.array([2, 0])).keys == ["2", "3"]
    assert len(read_history(path, f"group:{INPUTS[0].name}").keys) == 3
    fallen_back = read_history(path, "time:gone")
    assert fallen_back.split == "order"
    assert "no column gone to split by" in str(fallen_back.warning)


def test_nothing_is_searched_for_on_rows_that_teach_nothing() -> None:
    history = make_history(ROWS)
    if TARGET.kind != "float":
        targets = [*[history.classes[0]] * 30, *[history.classes[1]] * 30]
        folds = folds_of(replace(history, targets=targets))
        assert folds
        assert min(len(one) for one, _ in folds) > 30
    for column in (each for each in INPUTS if each.kind != "category"):
        late = [*[None] * 45, *history.columns[column.name][45:]]
        folds = folds_of(replace(history, columns={**history.columns, column.name: late}))
        assert folds
        assert min(len(one) for one, _ in folds) > 45


DUMMY = DummyRegressor() if TARGET.kind == "float" else DummyClassifier()
GRID: dict[str, list[Any]] = (
    {"strategy": ["constant", "median"], "constant": [1e9]}
    if TARGET.kind == "float"
    else {"strategy": ["stratified", "prior"], "random_state": [0]}
)


def test_the_best_candidate_is_chosen_by_the_metric_of_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "ROWS", 30)
    search = GridSearchCV(DUMMY, GRID)
    build, candidates = choose(lambda: search, make_history(ROWS))
    best = GRID["strategy"][-1]
    assert build().strategy == best
    assert not hasattr(build(), "n_features_in_")
    assert f"strategy='{best}'" in candidates[0].name
    scores = [each.score or 0 for each in candidates]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) < 0, f"the metric, {METRIC}, negated"
    assert sum(len(test) for _, test in search.cv) == 12, "thinned out"
    manifest, _ = train(make_history(ROWS), build=lambda: search, compiled=False)
    assert manifest.evaluation
    assert [each.name for each in manifest.evaluation.candidates] == [
        each.name for each in candidates
    ]


def test_what_a_search_says_itself_stays() -> None:
    search = GridSearchCV(DUMMY, GRID, cv=3, scoring=lambda *_: 7.0)
    _, candidates = choose(lambda: search, make_history(ROWS))
    assert (search.cv, [each.score for each in candidates]) == (3, [7.0, 7.0])


def test_without_a_choice_or_rows_for_one_there_are_no_candidates() -> None:
    def single() -> Any:
        return DUMMY

    assert choose(single, make_history(ROWS)) == (single, [])
    lonely = split_by("group:who", ["a"] * ROWS)
    build, candidates = choose(lambda: GridSearchCV(DUMMY, GRID), lonely)
    assert (type(build()), candidates) == (type(DUMMY), [])


class Failing(BaseEstimator):  # type: ignore[misc]
    """Raises whatever it is asked to do."""

    def fit(self, rows: Any, targets: Any) -> None:
        raise KeyError("of its\nown")


def test_a_search_that_fails_is_told_in_one_line() -> None:
    search = GridSearchCV(Failing(), {})
    with pytest.raises(ModelError, match=r"^the search .* fails: KeyError: .* `build_pipeline`.*$"):
        choose(lambda: search, make_history(ROWS))
