"""What a prediction is made of: it adds up, and is what the definition says."""

import json
import math
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import (
    INFER,
    MODEL,
    NUMBERS,
    REQUEST,
    TOKENS,
    build_small,
    client_of,
    make_history,
    make_store,
    train,
)
from sklearn.dummy import DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from starlette.testclient import TestClient

from contract import FEATURES, INPUTS, TARGET, Column, ContractError
from contract.explanation import Explanation
from model.artifacts.manifest import Observed
from model.artifacts.store import Store
from model.columns import Columns, row_count, to_arrays
from model.engines.encoding import encode
from model.engines.explaining import ROWS, _typical, estimated_values, explain, shapley_values
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.engines.sklearn import to_frame
from model.serving import app
from model.serving.library import open_model
from model.settings import Settings

ROW: dict[str, Any] = {
    "inputs": [{**each, "shape": [1], "data": each["data"][:1]} for each in REQUEST["inputs"]]
}
EXPLAIN = f"{MODEL}/explain"
HISTORY = make_history()
Sets = npt.NDArray[np.bool_]


def row_of(number: int) -> Columns:
    return {name: values[number : number + 1] for name, values in HISTORY.columns.items()}


class Game:
    """A worth for each set: of features alone, of pairs, of the first three; counts the sets."""

    def __init__(self, features: int, together: float = 0.0) -> None:
        self.together = together
        draw = np.random.default_rng(features)
        self.alone, self.rows = draw.normal(size=features), 0
        self.pairs = np.triu(draw.normal(size=(features, features)), 1)

    def __call__(self, sets: Sets) -> npt.NDArray[np.float64]:
        self.rows += len(sets)
        pairs = np.einsum("si,ij,sj->s", sets, self.pairs, sets)
        three = self.together * sets[:, :3].all(axis=1)
        return np.asarray(7 + sets @ self.alone + pairs + three, np.float64)


def by_definition(game: Game, features: int) -> list[float]:
    """The mean gain of each feature over all orders."""
    gains = np.zeros(features)
    for order in permutations(range(features)):
        chosen = np.zeros((1, features), bool)
        for feature in order:
            before = game(chosen)[0]
            chosen[0, feature] = True
            gains[feature] += game(chosen)[0] - before
    found: list[float] = (gains / math.factorial(features)).tolist()
    return found


@pytest.mark.parametrize("features", [1, 2, 5])
def test_values_are_those_of_the_definition(features: int) -> None:
    game = Game(features, together=5.0)
    values = shapley_values(game, features).tolist()
    assert game.rows == 2**features
    assert values == pytest.approx(by_definition(game, features))


def test_estimates_add_up_within_the_rows_allowed() -> None:
    game = Game(40)
    values = estimated_values(game, 40)
    assert game.rows <= ROWS
    ends = game(np.array([[False] * 40, [True] * 40]))
    assert values.sum() == pytest.approx(ends[1] - ends[0])
    # Where at most two features act together, an order and its reverse give the value itself.
    assert values == pytest.approx(game.alone + (game.pairs + game.pairs.T).sum(axis=1) / 2)
    assert estimated_values(game, 40).tolist() == values.tolist()


def test_equal_features_add_as_much_and_unused_ones_nothing() -> None:
    def largest(sets: Sets) -> npt.NDArray[np.float64]:
        return np.where(sets[:, 0] & sets[:, 1], 3.0, 0.0)

    assert shapley_values(largest, 4).tolist() == pytest.approx([1.5, 1.5, 0, 0])
    assert shapley_values(largest, 4)[2:].tolist() == [0, 0]
    assert estimated_values(largest, 12).tolist() == pytest.approx([1.5, 1.5, *[0] * 10])


@pytest.mark.parametrize("kind", ["store", "uncompiled_store"])
def test_contributions_lead_from_the_typical_to_the_own_prediction(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model = Model.load(request.getfixturevalue(kind).folder())
    for number in range(10):
        row = row_of(number)
        found = explain(model, row)
        own = model.predict(row)
        added = [each.contribution for each in found.contributions]
        assert found.typical + sum(added) == pytest.approx(found.prediction)
        assert found.prediction == pytest.approx(own.numbers.max())
        assert found.of == (
            None if TARGET.kind == "float" else own.classes[int(own.numbers.argmax())]
        )
        assert [each.feature for each in found.contributions] == [each.name for each in FEATURES]
        for each in found.contributions:
            assert each.value == row[each.feature][0]
            assert each.contribution == 0 or each.value != each.typical
        assert explain(model, row) == found


def test_only_what_the_target_follows_adds_much(model: Model) -> None:
    """The target of these histories follows the first input."""
    moved = {each.name: 0.0 for each in FEATURES}
    for number in range(20):
        for each in explain(model, row_of(number)).contributions:
            moved[each.feature] += abs(each.contribution)
    assert max(moved, key=lambda name: moved[name]) == INPUTS[0].name


def test_of_a_linear_model_it_is_the_coefficient_times_the_difference(model: Model) -> None:
    weights = {name: 1.0 + place for place, name in enumerate(NUMBERS)}

    def predict(arrays: Mapping[str, Any]) -> Predictions:
        numbers = [weights[name] * np.nan_to_num(arrays[name]) for name in NUMBERS]
        return Predictions(np.sum([np.zeros(row_count(arrays)), *numbers], axis=0))

    engine: Any = SimpleNamespace(predict=predict)
    for number in range(5):
        found = explain(Model(model.manifest, engine), row_of(number)).contributions
        ends = to_arrays({each.feature: [each.typical, each.value] for each in found})
        for each in found:
            expected = 0.0
            if each.feature in weights:
                expected = weights[each.feature] * np.diff(np.nan_to_num(ends[each.feature]))[0]
            assert each.contribution == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_what_the_estimator_gets() -> None:
    frame, numbers = to_frame(to_arrays(HISTORY.columns)), np.arange(len(HISTORY))
    linear = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge())
    pipeline = build_small().set_params(estimator=linear).fit(frame, numbers)
    row = row_of(0)
    found = encode(pipeline, row)
    assert found.estimator == "Ridge"
    before = make_pipeline(pipeline[:-1], linear[:-1])
    assert [*found.columns.values()] == before.transform(to_frame(to_arrays(row)))[0].tolist()
    assert found.products.keys() == {*found.columns, "intercept"}
    assert sum(found.products.values()) == pytest.approx(pipeline.predict(frame[:1])[0])
    pipeline = build_small().set_params(estimator=DummyRegressor()).fit(frame, numbers)
    assert encode(pipeline, row).products == {}
    assert [*encode(DummyRegressor(), row).columns] == [each.name for each in FEATURES]


def test_one_row_at_a_time(model: Model) -> None:
    with pytest.raises(ContractError, match="2 rows"):
        explain(model, {name: values[:2] for name, values in HISTORY.columns.items()})


def test_a_feature_that_only_the_version_knows_is_missing(model: Model) -> None:
    """As in the hours in which the caller is of a release with another contract."""
    manifest = model.manifest
    features = {**manifest.features, "former": "float?"}
    observed = {**manifest.observed, "former": Observed(missing=0, quantiles=[1.0, 2.0, 3.0])}
    other = manifest.model_copy(update={"features": features, "observed": observed})
    found = explain(Model(other, model.engine), row_of(0))
    (former,) = (each for each in found.contributions if each.feature == "former")
    assert (former.value, former.typical, former.contribution) == (None, 2, 0)


def test_the_typical_row() -> None:
    def typical(kind: str, observed: Observed) -> Any:
        return _typical(observed, Column(kind, kind, optional=True))

    quantiles = [float(number) for number in range(11)]
    assert typical("float", Observed(missing=0.1, quantiles=quantiles)) == 5
    assert typical("float", Observed(missing=0.6, quantiles=quantiles)) is None
    assert typical("category", Observed(missing=0, shares={"a": 0.3, "b": 0.7})) == "b"
    assert typical("bool", Observed(missing=0, shares={"true": 0.6, "false": 0.4})) is True
    assert typical("datetime", Observed(missing=0, quantiles=quantiles)).timestamp() == 5


def test_the_api_explains_one_row(client: TestClient, model: Model) -> None:
    for path in (EXPLAIN, f"{MODEL}/versions/{model.manifest.version}/explain"):
        response = client.post(path, json=ROW)
        assert response.status_code == 200, response.text
        found = Explanation.model_validate_json(response.content)
        assert found.version == model.manifest.version
        names = [each.feature for each in found.contributions]
        assert names == [each.name for each in FEATURES]
    bodies: list[dict[str, Any]] = [REQUEST, {"inputs": []}, {}]
    for body in bodies:
        assert client.post(EXPLAIN, json=body).status_code == 400
    assert client.post(EXPLAIN, json=ROW, headers={"Authorization": ""}).status_code == 401
    assert client.post(f"{MODEL}x/explain", json=ROW).status_code == 404
    assert client.get(EXPLAIN).status_code == 405
    late = client.post(EXPLAIN, json=ROW, headers={"X-Request-Timeout-Ms": "0"})
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")


def test_the_event_loop_goes_on_meanwhile(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One explanation waits for an answer that the loop alone can give."""
    answered = threading.Event()

    def wait(*_: Any) -> Any:
        assert answered.wait(20)
        raise ContractError("enough")

    monkeypatch.setattr(app, "explain", wait)
    with client, ThreadPoolExecutor(1) as pool:
        explaining = pool.submit(client.post, EXPLAIN, json=ROW)
        assert client.post(INFER, json=REQUEST).status_code == 200
        answered.set()
        assert explaining.result().status_code == 400


def test_all_versions_by_the_api_and_in_process(client: TestClient, store: Store) -> None:
    known = client.get("/versions").json()
    assert known == json.loads(json.dumps(store.known()))
    assert known["current"] == store.current()
    (version,) = known["versions"]
    assert {"observed", "evaluation", "data"} < version.keys()
    assert "packages" in version
    assert "self_test" not in version
    assert [entry["to"] for entry in known["log"]] == [store.current()]
    assert client.get("/versions", headers={"Authorization": ""}).status_code == 401
    for path in (store.path, store.folder()):  # a store, and one version for good
        library = open_model(path)
        assert json.loads(library.versions()) == known
        assert json.loads(library.explain(ROW)) == client.post(EXPLAIN, json=ROW).json()


def test_of_past_versions_less_is_told(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", make_history(60), compiled=False)
    past = store.current()
    manifest, files = train(make_history(60, seed=1), compiled=False)
    store.add(manifest, files)
    store.promote(manifest.version)
    told = {each["version"]: each for each in store.known()["versions"]}
    assert told.keys() == {past, manifest.version}
    assert "observed" in told[manifest.version]
    assert not {"observed", "packages"} & told[past].keys()
    assert told[past]["evaluation"]["metrics"]
    assert "slices" not in told[past]["evaluation"]


def test_a_store_that_cannot_be_read_is_a_503(tmp_path: Path, store: Store) -> None:
    shutil.copytree(store.path, tmp_path / "store")
    settings = Settings(model_tokens=TOKENS, model_store=str(tmp_path / "store"))
    client = client_of(settings)
    (tmp_path / "store/log.jsonl").write_text("{}\n")
    response = client.get("/versions")
    assert response.status_code == 503
    assert "log.jsonl" in response.json()["error"]
