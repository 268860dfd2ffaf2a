"""The same rows make the same version; every history that can be learnt from is learnt from."""

import numpy as np
import pytest
from conftest import make_history

from contract import FEATURES, TARGET, Prediction, signature
from contract.types import EXACT
from model.artifact import Manifest
from model.errors import ModelError
from model.evaluation import classes_of
from model.frame import frame_of
from model.history import History
from model.pipeline import CATEGORIES, NUMBERS
from model.reference import Reference
from model.store import Store
from model.training import FEWEST_ROWS, train

CLASSIFICATION = TARGET.datatype != "FP64"


@pytest.fixture
def manifest(store: Store) -> Manifest:
    """The manifest of the version in the store."""
    return store.read()


def test_the_same_history_makes_the_same_version() -> None:
    first, files = train(make_history())
    again, same = train(make_history())
    other, _ = train(make_history(seed=1))
    assert first.version == again.version
    assert files == same
    assert first.version != other.version


def test_the_model_has_learnt_what_there_is(manifest: Manifest) -> None:
    assert manifest.evaluation
    key = "log_loss" if CLASSIFICATION else "mean_absolute_error"
    assert manifest.evaluation.metrics[key] < manifest.evaluation.baseline[key]
    assert (manifest.evaluation.past, manifest.evaluation.later) == (96, 24)


def test_slices_cover_the_later_rows(manifest: Manifest) -> None:
    assert manifest.evaluation
    for column in FEATURES:
        rows = [each.rows for each in manifest.evaluation.slices if each.feature == column.name]
        assert sum(rows) == (24 if column.datatype in ("BOOL", "BYTES") else 0)


def test_the_manifest_describes_the_version(manifest: Manifest) -> None:
    assert manifest.signature == signature()
    assert list(manifest.features) == [each.name for each in FEATURES]
    assert set(manifest.observed) == {*manifest.features, TARGET.name}
    assert manifest.packages["scikit-learn"]
    assert manifest.data.rows == 120
    for column in FEATURES:
        assert (manifest.observed[column.name].missing > 0) == column.optional


def test_the_fallback_is_a_prediction(manifest: Manifest) -> None:
    fallback = Prediction.model_validate(manifest.fallback).model_dump()
    targets = make_history().targets
    if not CLASSIFICATION:
        assert fallback == {TARGET.name: float(np.median(targets))}
    else:
        shares = fallback["probabilities"]
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares.values()) == targets.count(fallback[TARGET.name]) / len(targets)


def test_the_fallback_is_the_majority_class_or_the_median() -> None:
    few, many = {"FP64": (0.0, 7.0), "BOOL": (False, True), "BYTES": ("a", "b")}[TARGET.datatype]
    history = make_history(40)
    for targets, expected in (([few] * 15 + [many] * 25, many), ([few] * 25 + [many] * 15, few)):
        manifest, _ = train(History(history.columns, targets, history.data))
        assert manifest.fallback[TARGET.name] == expected


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ModelError, match=r"too few .* add rows to the history"):
        train(make_history(FEWEST_ROWS - 1))
    train(make_history(FEWEST_ROWS))
{%- if cookiecutter.__task != 'regression' %}


def test_a_single_class_is_refused() -> None:
    history = make_history(40)
    single = History(history.columns, history.targets[:1] * 40, history.data)
    with pytest.raises(ModelError, match="nothing to learn"):
        train(single)


def test_a_past_of_one_class_is_trained_on_but_not_judged() -> None:
    history = make_history(40)
    one, other = sorted(set(history.targets))
    manifest, _ = train(History(history.columns, [one] * 36 + [other] * 4, history.data))
    assert manifest.evaluation is None
{%- endif %}
{%- if cookiecutter.__task == 'multiclass' %}


def test_a_class_that_only_the_later_part_holds_is_judged() -> None:
    history = make_history(60)
    manifest, _ = train(History(history.columns, [*history.targets[:-1], "late"], history.data))
    assert manifest.classes == ["class 0", "class 1", "late"]
    assert manifest.evaluation
    assert manifest.evaluation.metrics["log_loss"] > 0
{%- endif %}
{%- if '?' in cookiecutter.features %}


def test_columns_without_any_value_do_no_harm() -> None:
    history = make_history(40)
    empty = {each.name: [None] * 40 for each in FEATURES if each.optional}
    manifest, _ = train(History({**history.columns, **empty}, history.targets, history.data))
    assert {manifest.observed[name].missing for name in empty} == {1.0}
{%- endif %}


def test_values_that_were_never_seen_are_answered() -> None:
    history = make_history()
    reference = Reference.fit(history.columns, history.targets, classes_of(history))
    strange = {"FP64": 1e300, "INT64": -EXACT, "BOOL": True, "BYTES": "never seen"}
    answer = reference.predict({each.name: [strange[each.datatype]] for each in FEATURES})
    assert answer.is_finite()


def test_a_pipeline_that_refuses_what_the_contract_allows_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object) -> None:
        raise ValueError("found an unknown category")

    monkeypatch.setattr(Reference, "predict", refuse)
    monkeypatch.setattr("model.training.judge", lambda *arguments: None)
    with pytest.raises(ModelError, match=r"allows.*unknown category.*build_pipeline"):
        train(make_history(), compiled=False)


def test_every_row_is_answered_alone_as_in_a_batch() -> None:
    history = make_history()
    reference = Reference.fit(history.columns, history.targets, classes_of(history))
    batch = reference.predict(history.columns).values
    alone = [reference.predict(history.part(row, row + 1).columns).values[0] for row in range(9)]
    assert batch[:9].tolist() == alone


def test_the_pipeline_leaves_out_no_feature_of_the_contract() -> None:
    frame = frame_of(make_history(3).columns)
    assert sorted(NUMBERS) == sorted(frame.select_dtypes("float64"))
    assert sorted(CATEGORIES) == sorted(frame.select_dtypes("object"))
