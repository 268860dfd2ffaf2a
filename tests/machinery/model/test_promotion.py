"""The gate refuses what is worse, unproven, slow, large or broken, and says why."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import build_small, make_history, train
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from contract import FEATURES, TARGET
from model import limits
from model.artifacts.manifest import (
    MANIFEST_FILE,
    METRIC,
    MODEL_FILE,
    ONNX_FILE,
    Interval,
    Linear,
    Manifest,
)
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, digest_line, version_of
from model.errors import ModelError
from model.settings import Settings
from model.training.aging import aging
from model.training.gate import Judgement, _simpler, judge_version, quality
from model.training.history import History
from model.training.losses import LOSSES_FILE

ROWS = 600
CATEGORIES = [each for each in FEATURES if each.kind in ("bool", "category")]
NUMBERS = [each.name for each in FEATURES if each.kind in ("float", "int")]


def noisy(share: float, seed: int = 0, rows: int = ROWS) -> History:
    """A history in which this share of the targets is that of another row."""
    history = make_history(rows)
    draw = np.random.default_rng(seed)
    targets = list(history.targets)
    for row in np.flatnonzero(draw.random(rows) < share):
        targets[row] = history.targets[draw.integers(rows)]
    return replace(history, targets=targets)


def build_weak(trees: int = 1) -> Pipeline:
    """A pipeline that learns little of what there is."""
    *steps, (name, estimator) = build_small().steps
    return Pipeline([*steps, (name, clone(estimator).set_params(max_iter=trees))])


def add_fragile(store: Store, history: History) -> str:
    """A version that fails on a number of which there is no float32."""
    tree = DecisionTreeRegressor if TARGET.kind == "float" else DecisionTreeClassifier

    def build() -> Pipeline:
        *steps, (name, _) = build_small().steps
        return Pipeline([*steps, (name, tree(random_state=0))])

    manifest, files = train(history, build=build, compiled=False)
    store.add(manifest, files)
    return manifest.version


def with_large(history: History) -> History:
    """The history with such a number in its last row."""
    numbers = [*history.columns[NUMBERS[0]]][:-1]
    return replace(history, columns={**history.columns, NUMBERS[0]: [*numbers, 1e200]})


@pytest.fixture(scope="module")
def history() -> History:
    return noisy(0.1)


@pytest.fixture
def store(tmp_path: Path, history: History) -> Store:
    """A store with a weak version as the current one."""
    store = Store(tmp_path / "store")
    manifest, files = train(history, build=build_weak)
    store.add(manifest, files)
    store.promote(manifest.version)
    return store


@pytest.fixture
def good(store: Store, history: History) -> str:
    """A better version."""
    manifest, files = train(history)
    store.add(manifest, files)
    return manifest.version


def judge(store: Store, version: str, history: History) -> Judgement:
    return judge_version(store, version, history, Settings())


def edit(store: Store, version: str, name: str, content: bytes) -> str:
    """The version with another file, as one who knows how digests are made; its new name."""
    folder = Path(shutil.copytree(store.folder(version), store.path / "edited"))
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    manifest["version"] = version_of(Manifest.model_validate(manifest))
    text = json.dumps(manifest).encode()
    (folder / MANIFEST_FILE).write_bytes(text)
    (folder / DIGEST_FILE).write_text(digest_line(text))
    folder.rename(store.path / manifest["version"])
    return str(manifest["version"])


@pytest.mark.slow
def test_a_better_version_passes_with_its_evidence(
    store: Store, good: str, history: History
) -> None:
    served = replace(history, served=[None] * (ROWS - 5) + history.targets[-5:])
    found = judge(store, good, served)
    assert found.objections == []
    assert found.evidence["rows"] == ROWS // 5  # those of the past would flatter either
    assert found.evidence[METRIC]["difference"]["high"] < 0
    assert found.evidence["latency_ms"]["new"] > 0
    assert found.evidence["memory_mb"]["current"] > 10
    assert found.evidence["replayed"]["rows"] == 5
    store.promote(good, "better", found.evidence)
    assert store.history()[-1].evidence == json.loads(json.dumps(found.evidence))


@pytest.mark.slow
def test_a_worse_version_is_refused(store: Store, good: str, history: History) -> None:
    (current,) = {each.version for each in store.versions()[0]} - {good}
    store.promote(good)
    reasons = judge(store, current, history).objections
    start = f"it is not shown to be better than the current version {good} on 120 later rows: by -"
    assert any(each.startswith(start) for each in reasons), reasons


@pytest.mark.slow
def test_rows_that_are_made_up_replace_no_real_ones(
    store: Store, good: str, history: History
) -> None:
    real = replace(history, data=history.data.model_copy(update={"synthetic": False}))
    manifest, files = train(real)
    store.add(manifest, files)
    assert judge(store, manifest.version, real).objections == []
    store.promote(manifest.version)
    (reason,) = judge(store, good, history).objections
    assert reason == "it has learnt from made-up rows, and the current version from real ones"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["broken", "gone"])
def test_a_current_version_that_cannot_be_served_is_not_kept_for_that(
    how: str, store: Store, good: str, history: History
) -> None:
    broken = edit(store, store.current(), ONNX_FILE, b"none")
    store.promote(broken)
    if how == "gone":
        shutil.rmtree(store.folder(broken))
    found = judge(store, good, history)
    assert found.objections == []
    assert broken in found.evidence["current"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_version_that_fails_on_a_row_that_was_served_is_refused(
    store: Store, history: History
) -> None:
    fragile = add_fragile(store, history)
    store.promote(fragile)  # so that it is compared with none
    served = replace(with_large(history), served=[None] * (ROWS - 1) + history.targets[-1:])
    reasons = judge(store, fragile, served).objections
    fault = f"version {fragile} cannot predict the rows: Input X contains infinity"
    assert any(each.startswith(fault) for each in reasons), reasons
    assert aging(store, served) == []  # and the report is made without it


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_current_version_that_fails_on_a_row_is_not_kept_for_that(
    store: Store, good: str, history: History
) -> None:
    fragile = add_fragile(store, history)
    store.promote(fragile)
    found = judge(store, good, with_large(history))
    assert not any("cannot predict" in each for each in found.objections), found.objections
    assert found.evidence["current"].startswith(f"version {fragile} cannot predict the rows: ")


def test_what_cannot_be_compared_since_the_store_fails_is_not_let_through(
    store: Store, good: str, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, folder = store.current(), store.folder

    def fail(version: str) -> Path:
        if version == current:
            raise ModelError("the bucket does not answer")
        return folder(version)

    monkeypatch.setattr(store, "folder", fail)
    with pytest.raises(ModelError, match="does not answer"):
        judge(store, good, history)


def test_a_linear_model_that_is_better_beyond_doubt_is_preferred(store: Store) -> None:
    manifest = store.read()
    assert manifest.evaluation
    beside = {METRIC: manifest.evaluation.metrics[METRIC] / 2}

    def objections(high: float) -> list[str]:
        gain = Interval(mean=high - 1, low=high - 2, high=high, rows=100)
        linear = {"linear": Linear(metrics=beside, gain=gain)}
        changed = manifest.evaluation.model_copy(update=linear)
        return [*_simpler(manifest.model_copy(update={"evaluation": changed}))]

    assert any(each.endswith(" of a linear model") for each in objections(-0.1))
    assert not any(each.endswith(" of a linear model") for each in objections(0.1))


@pytest.mark.slow
def test_what_is_not_better_than_a_constant_is_refused(store: Store, history: History) -> None:
    scrambled = noisy(1.0)
    manifest, files = train(scrambled)
    store.add(manifest, files)
    reasons = judge(Store(store.path), manifest.version, scrambled).objections
    assert any("is not better than" in each and "of a constant" in each for each in reasons)


@pytest.mark.slow
def test_a_version_whose_graph_is_another_models_is_refused(
    store: Store, good: str, history: History
) -> None:
    weak = (store.folder() / ONNX_FILE).read_bytes()
    reasons = judge(store, edit(store, good, ONNX_FILE, weak), history).objections
    assert any(each.startswith("it is not proven: ") for each in reasons), reasons
    assert any("fails its self-test" in each for each in reasons), reasons


@pytest.mark.slow
def test_a_version_that_no_server_can_load_is_refused(
    store: Store, good: str, history: History
) -> None:
    reasons = judge(store, edit(store, good, ONNX_FILE, b"no graph"), history).objections
    (fault,) = (each for each in reasons if each.startswith("its server does not "))
    assert "cannot run it" in fault, reasons


def test_a_damaged_version_is_refused(store: Store, good: str, history: History) -> None:
    with (store.folder(good) / MODEL_FILE).open("ab") as file:
        file.write(b"x")
    (reason,) = judge(store, good, history).objections
    assert "not the file that was stored" in reason


def test_a_version_of_another_contract_is_refused(
    store: Store, good: str, history: History
) -> None:
    folder = store.folder(good)
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8")) | {"signature": "0" * 16}
    manifest["features"]["unheard_of"] = "float"
    manifest["version"] = version_of(Manifest.model_validate(manifest))
    text = json.dumps(manifest).encode()
    (folder / MANIFEST_FILE).write_bytes(text)
    (folder / DIGEST_FILE).write_text(digest_line(text))
    folder.rename(store.path / manifest["version"])
    (reason,) = judge(store, manifest["version"], history).objections
    assert "made for another contract: it needs unheard_of, which is neither optional" in reason


@pytest.mark.slow
def test_a_slow_and_large_version_is_refused(store: Store, history: History) -> None:
    manifest, files = train(history, compiled=False)
    store.add(manifest, files)
    reasons = judge(store, manifest.version, history).objections
    for words in ("ms a request", "MB of memory"):
        assert any(f" {words}, and the current version " in each for each in reasons), reasons


@pytest.mark.parametrize("column", CATEGORIES[:1])
def test_a_version_that_is_worse_in_one_slice_is_refused(column: Any, history: History) -> None:
    values = history.columns[column.name]
    bad = np.array([value == values[0] for value in values])
    theirs = np.abs(np.random.default_rng(0).normal(100, 20, ROWS))
    ours = np.where(bad, theirs * 1.5, theirs * 0.2)
    (reason,) = quality(ours, theirs, history, "the current version", 0.0)
    assert reason.startswith(f"it is worse where {column.name} is ")
    assert list(quality(theirs * 0.9, theirs, history, "the current version", 0.0)) == []


def test_few_of_many_candidates_that_are_no_better_pass(history: History) -> None:
    """200 of them, whose errors have long tails and are like the current version's, in part."""
    draw, passed = np.random.default_rng(0), 0
    for _ in range(200):
        shared = draw.standard_t(4, ROWS)
        theirs, ours = (np.abs(shared + draw.standard_t(4, ROWS)) for _ in range(2))
        passed += not list(quality(ours, theirs, history, "the current version", limits.CURRENT))
    print(f"{passed} of 200 pass")
    assert passed <= 10


def test_rows_that_a_version_has_learnt_from_are_told_from_others(
    store: Store, good: str, history: History
) -> None:
    table = np.load(store.folder(good) / LOSSES_FILE)
    assert np.isnan(table["loss"]).sum() == ROWS * 4 // 5
    manifest = store.read(good)
    assert manifest.evaluation
    found = float(np.nanmean(table["loss"].astype(np.float64)))
    assert found == pytest.approx(manifest.evaluation.metrics[METRIC], rel=1e-4)
