"""The same rows make the same version; every history that can be learnt from is learnt from."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from conftest import NUMBERS, build_small, make_history, train
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from contract import FEATURES, INPUTS, TARGET, Column, Prediction, signature
from contract.types import EXACT
from model.artifacts.manifest import METRIC, PACKAGES
from model.artifacts.store import Store
from model.columns import add_derived, to_arrays
from model.engines.predictions import Predictions
from model.errors import ModelError
from model.training.evaluation import _observe, metrics_of
from model.training.fitting import fit
from model.training.history import History
from model.training.outliers import reject_outliers
from model.training.provenance import packages_of
from model.training.search import _name
from model.training.trainer import MIN_ROWS

TASK = {"float": "regression", "bool": "binary", "category": "multiclass"}[TARGET.kind]
DUMMY = DummyRegressor() if TASK == "regression" else DummyClassifier()
FEW, MANY = {"float": (0.0, 7.0), "bool": (False, True), "category": ("a", "b")}[TARGET.kind]


def with_targets(*targets: Any) -> History:
    history = make_history(len(targets))
    return History(history.columns, list(targets), history.data)


def test_the_same_history_makes_the_same_version() -> None:
    first, files = train(make_history())
    again, same = train(make_history())
    assert (first.version, files) == (again.version, same)
    assert first.version != train(make_history(seed=1))[0].version


def test_the_manifest_describes_the_version(store: Store) -> None:
    manifest = store.read()
    assert (manifest.signature, manifest.task) == (signature(), TASK)
    assert list(manifest.features) == [each.name for each in FEATURES]
    assert set(manifest.observed) == {*manifest.features, TARGET.name}
    assert (manifest.data.rows, manifest.classes is None) == (120, TASK == "regression")
    for column in INPUTS:
        assert (manifest.observed[column.name].missing > 0) == column.optional


def test_a_version_is_judged_on_the_later_rows(store: Store) -> None:
    evaluation = store.read().evaluation
    assert evaluation
    assert (evaluation.split, evaluation.past, evaluation.later) == ("order", 96, 24)
    assert evaluation.metrics[METRIC] < evaluation.baseline[METRIC]
    for column in FEATURES:
        rows = [each.rows for each in evaluation.slices if each.feature == column.name]
        assert sum(rows) == (24 if column.kind in ("bool", "category") else 0)


def test_a_manifest_counts_the_rows_between_distinct_quantiles(store: Store) -> None:
    manifest = store.read()
    for name, each in manifest.observed.items():
        present = round(manifest.data.rows * (1 - each.missing))
        assert (each.counts is None) == (each.quantiles is None), name
        assert sum(each.counts or [present]) == present
        assert len(each.counts or ()) == len(set(each.quantiles or ()))
    zeros_and_ones = np.array([0] * 3 + [1] * 8 + [np.nan])
    found = _observe(zeros_and_ones, Column("flag", "int", optional=True))
    assert (found.quantiles, found.counts) == ([0] * 3 + [1] * 8, [3, 8])


def test_the_metrics_are_those_of_the_task() -> None:
    found = metrics_of(Predictions(np.array([1.0, 2.0, 6.0])), [1.0, 4.0, 7.0])
    right = {"mean_absolute_error": 1, "root_mean_squared_error": (5 / 3) ** 0.5, "r2": 13 / 18}
    assert {name: found[name] for name in right} == pytest.approx(right)
    one, other = (False, True) if TASK == "binary" else ("a", "b")
    classes = [str(each).lower() for each in (one, other)]
    values = np.array([one, other, other, one], dtype=object)
    predictions = Predictions(values, classes, np.full((4, 2), 0.5))
    found = metrics_of(predictions, [one, other, other, other])
    right = {"accuracy": 3 / 4, "balanced_accuracy": (1 + 2 / 3) / 2, "log_loss": np.log(2)}
    assert {name: found[name] for name in right} == pytest.approx(right)
    # A class that is not among the targets has no recall.
    assert metrics_of(predictions, [other] * 4)["balanced_accuracy"] == 0.5


def test_the_fallback_is_the_median_or_the_majority_class() -> None:
    for many, few in ((MANY, FEW), (FEW, MANY)):
        manifest, _ = train(with_targets(*[few] * 15, *[many] * 25), compiled=False)
        fallback = Prediction.model_validate(manifest.fallback).model_dump()
        assert fallback.pop(TARGET.name) == many
        for shares in fallback.values():
            assert sorted(shares.values()) == [15 / 40, 25 / 40]


def test_too_few_rows_are_rejected() -> None:
    with pytest.raises(ModelError, match=r"too few .* add rows to the history"):
        train(make_history(MIN_ROWS - 1))
    train(make_history(MIN_ROWS), compiled=False)


def test_outliers_of_the_target_are_rejected_and_a_heavy_tail_is_not() -> None:
    draw = np.random.default_rng(0)
    tails = [draw.lognormal(7, 1.5, 5_000), draw.pareto(1.5, 5_000), draw.poisson(0.05, 5_000)]
    for rest in (*tails, np.zeros(5_000), np.linspace(600, 1800, 20)):
        for bad in ([], [1e13], [-1e13]):
            history = with_targets(*rest, *bad)
            kept, outliers = reject_outliers(history)
            found = bad if TASK == "regression" and rest.any() else []
            assert (outliers.rows if outliers else 0) == len(found)
            assert kept.targets == history.targets[: len(history) - len(found)]
    mixed = with_targets(*np.linspace(1, 2, 97), *[1e9] * 3)
    assert reject_outliers(mixed) == (mixed, None)  # so many are no outliers
    if TASK == "regression":
        poisoned = with_targets(*make_history(59).targets, 1e12)
        manifest, _ = train(poisoned, compiled=False)
        assert manifest.outliers
        assert manifest.outliers.rows == 1
        assert manifest.outliers.high < 1e12
        assert max(manifest.observed[TARGET.name].quantiles or ()) < manifest.outliers.high


def test_a_target_of_one_value_or_a_column_without_any_does_no_harm() -> None:
    if TASK == "regression":
        train(with_targets(*[FEW] * 40), compiled=False)
    else:
        with pytest.raises(ModelError, match="nothing to learn"):
            train(with_targets(*[FEW] * 40))
        manifest, _ = train(with_targets(*[FEW] * 36, *[MANY] * 4), compiled=False)
        assert manifest.evaluation is None  # nothing can be fitted to a past of one class
    if TASK == "multiclass":
        manifest, _ = train(with_targets(*[FEW, MANY] * 30, "late"), compiled=False)
        assert manifest.classes == [FEW, MANY, "late"]
        assert manifest.evaluation
    history = make_history(40)
    empty = {each.name: [None] * 40 for each in INPUTS if each.optional}
    columns = add_derived({**history.columns, **empty})
    manifest, _ = train(History(columns, history.targets, history.data))
    assert [manifest.observed[name].missing for name in empty] == [1] * len(empty)


def test_a_row_is_predicted_alone_as_in_a_batch_and_so_is_one_that_is_like_no_other() -> None:
    history = make_history()
    engine = fit(build_small(), history)
    batch = engine.predict(to_arrays(history.columns)).values.tolist()
    rows = [to_arrays(history.part(np.array([row])).columns) for row in range(9)]
    assert batch[:9] == [engine.predict(row).values[0] for row in rows]
    strange: dict[str, Any] = {
        "datetime": datetime(9000, 12, 31, tzinfo=UTC),
        "float": float(EXACT),
        "int": -EXACT,
        "bool": True,
        "category": "never seen",
    }
    arrays = to_arrays({each.name: [strange[each.kind]] for each in FEATURES})
    assert np.isfinite(engine.predict(arrays).numbers).all()


def test_a_version_keeps_no_row_of_its_history() -> None:
    history = make_history(40)
    rows = {tuple(map(repr, row)) for row in zip(*history.columns.values(), strict=True)}
    test = train(history, build=lambda: DUMMY, compiled=False)[0].self_test
    kept = {tuple(map(repr, row)) for row in zip(*test.columns.values(), strict=True)}
    assert len(kept) > 4
    assert len(INPUTS) == 1 or not kept & rows


def test_features_of_one_value_or_none_are_known() -> None:
    history = make_history(40)
    same = {each.name: [history.columns[each.name][0]] * 40 for each in INPUTS[:1]}
    none = {each.name: [None] * 40 for each in INPUTS[1:] if each.optional}
    columns = add_derived({**history.columns, **same, **none})
    manifest, _ = train(replace(history, columns=columns), build=lambda: DUMMY, compiled=False)
    derived = [each.name for each in FEATURES if each not in INPUTS]
    found = [name for name in manifest.uninformative if name not in derived]
    assert found == [each for each in manifest.features if each in {*same, *none}]
    manifest, _ = train(history, build=lambda: DUMMY, compiled=False)
    assert not {*manifest.uninformative} - {*derived}


def chosen(frame: Any) -> list[str]:
    """The columns of numbers."""
    return NUMBERS


def test_columns_that_a_function_chose_are_stored_by_name() -> None:
    columns = ColumnTransformer([("chosen", "passthrough", chosen)])
    engine = fit(make_pipeline(columns, DUMMY), make_history())
    assert engine.pipeline.steps[0][1].transformers == [("chosen", "passthrough", NUMBERS)]


def test_the_packages_of_the_parts_of_a_pipeline_are_recorded() -> None:
    assert list(packages_of(around(picky))) == [*PACKAGES]
    nested = ColumnTransformer([("all", around(orjson.dumps), [FEATURES[0].name])])
    assert list(packages_of(nested)) == [*PACKAGES, "orjson"]


def around(function: Any) -> Pipeline:
    """A pipeline of a function and the simplest of estimators."""
    return make_pipeline(FunctionTransformer(function), DUMMY)


def picky(rows: Any) -> Any:
    """Fail on the few rows of the self-test."""
    if len(rows) < 20:
        raise ValueError("found an unknown category")
    return rows


def test_a_pipeline_that_fails_on_what_the_contract_allows_is_rejected() -> None:
    with pytest.raises(ModelError, match=r"allows.*unknown category.*build_pipeline"):
        train(make_history(), build=lambda: around(picky), compiled=False)


def failing(rows: Any) -> Any:
    """Fail on any rows."""
    raise RuntimeError("of its\nown")


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (lambda rows: rows, r"cannot be stored: .*lambda.*: name it in a module"),
        (failing, "cannot be fitted: RuntimeError: of its own; correct `build_pipeline`"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_explained_in_one_line(function: Any, fault: str) -> None:
    with pytest.raises(ModelError, match=fault) as caught:
        train(make_history(), build=lambda: around(function), compiled=False)
    assert len(str(caught.value).splitlines()) == 1


def only_forty_eight(rows: Any) -> Any:
    """Fail on other rows than the past of sixty."""
    if len(rows) != 48:
        raise RuntimeError("other rows")
    return rows


def test_a_pipeline_that_fails_on_the_later_rows_is_explained_in_one_line() -> None:
    with pytest.raises(ModelError, match=r"^the pipeline cannot predict .*: RuntimeError: other"):
        train(make_history(60), build=lambda: around(only_forty_eight), compiled=False)


def test_a_search_that_leaves_no_winner_is_explained_in_one_line() -> None:
    def without_winner() -> GridSearchCV:
        return GridSearchCV(DUMMY, {"strategy": [DUMMY.strategy]}, refit=False)

    with pytest.raises(ModelError, match=r"^the search among the candidates fails: AttributeError"):
        train(make_history(), build=without_winner, compiled=False)
    with pytest.raises(ModelError, match=r"^build_pipeline: NameError"):
        train(make_history(), build=lambda: nowhere, compiled=False)  # type: ignore[name-defined]  # noqa: F821


def test_candidates_are_named_alike_in_every_process() -> None:
    name = _name({"function": picky})
    assert name.startswith("function=<function picky")
    assert "0x" not in name
