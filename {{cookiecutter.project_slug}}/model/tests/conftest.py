"""A small history made from the contract, stores with one version of it, and a server of one."""

import csv
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import ByteSize
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from starlette.testclient import TestClient

# Threads that wait for each other cost seconds per fit on a machine with no core to spare.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from contract import FEATURES, INPUTS, MODEL_NAME, TARGET, Column, golden
from model import cli
from model.artifacts.manifest import Data
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.columns import add_derived
from model.engines.loading import Model
from model.serving.access import tokens_of
from model.serving.app import create_app
from model.serving.metrics import Metrics
from model.settings import Settings
from model.training import trainer
from model.training.history import History, read_history

TOKENS = ("the-new-token-of-32-characters--", "the-old-token-of-32-characters--")
REQUEST: dict[str, Any] = golden()[-1].request
MODEL = f"/v2/models/{MODEL_NAME}"
INFER = f"{MODEL}/infer"
Run = Callable[..., tuple[int, str, str]]
NUMBERS = [each.name for each in FEATURES if each.kind != "category"]
CATEGORIES = [each.name for each in FEATURES if each.kind == "category"]


def build_small() -> Pipeline:
    """A pipeline of these tests' own, whatever the team's is: quick, compiled, always the same."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    columns = [("numbers", "passthrough", NUMBERS), ("categories", encoder, CATEGORIES)]
    regression = TARGET.kind == "float"
    boosting = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    estimator = boosting(max_iter=20, learning_rate=0.2, early_stopping=False, random_state=0)
    return Pipeline([("columns", ColumnTransformer(columns)), ("estimator", estimator)])


train = partial(trainer.train, build=build_small)


def make_value(column: Column, draw: random.Random) -> Any:
    """Any value of this column; missing in one row of five where it may be."""
    if column.optional and draw.random() < 0.2:
        return None
    values: dict[str, Any] = {
        "float": round(draw.uniform(-5, 100), 3),
        "int": draw.randrange(-3, 20),
        "bool": draw.random() < 0.5,
        "datetime": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=draw.randrange(1_000)),
        "category": draw.choice(["a", 'caf\u00e9 "noir"', "c, d", "\U0001f680"]),
    }
    return values[column.kind]


def make_history(rows: int = 120, seed: int = 0, lead: Column = INPUTS[0]) -> History:
    """Rows that fit the contract; the target follows one of the inputs."""
    draw = random.Random(seed)
    columns = {each.name: [make_value(each, draw) for _ in range(rows)] for each in INPUTS}
    targets: list[Any] = []
    for value in columns[lead.name]:
        if isinstance(value, datetime):
            value = "c, d" if value > datetime(2026, 3, 20, tzinfo=UTC) else "a"
        bit = int(value in (True, "c, d") or (type(value) in (int, float) and value > 8))
        target = {
            "float": 100.0 * bit + draw.random(),
            "bool": bool(bit),
            "category": f"class {bit}",
        }
        targets.append(target[TARGET.kind])
    data = Data(source="test", sha256="0" * 64, rows=rows, synthetic=True)
    return History(add_derived(columns), targets, data)


def write_csv(path: Path, history: History) -> Path:
    """The history as the file that it could have been read from."""
    columns = {each.name: history.columns[each.name] for each in INPUTS}
    columns[TARGET.name] = history.targets
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(cell_of(value) for value in row)
    return path


def write_provenance(path: Path, **changes: Any) -> Path:
    """Say beside a history that it was made up."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    provenance = {"source": "made up", "synthetic": True, "sha256": digest, **changes}
    path.with_name("provenance.json").write_text(json.dumps(provenance))
    return path


def cell_of(value: Any) -> str:
    """A value as it stands in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)


def make_store(path: Path, history: History, **options: Any) -> Store:
    """A store whose one version is current, trained on this history."""
    manifest, files = train(history, **options)
    store = Store(path)
    store.add(manifest, files)
    store.promote(manifest.version)
    return store


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in an empty folder; its exit status and what it printed.

    It trains as these tests need it, whatever the team's pipeline and split are.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL_URL", "MODEL_TOKENS", "MODEL_STORE", "MODEL_WORKERS", "LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("model.training.trainer.train", train)
    monkeypatch.setattr("model.logs.configure", lambda settings: None)  # to what is captured here
    as_it_stands = partial(read_history, split="order")
    monkeypatch.setattr("model.training.history.read_history", as_it_stands)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["model", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def train_by_force(run: Run, path: Path, *options: str) -> tuple[str, str]:
    """What training on a file prints, and its warnings."""
    status, out, err = run("train", "--data", str(path), "--no-compile", "--force", *options)
    assert status == 0, err
    lines = err.splitlines()
    assert [line[:5] for line in lines[:7]] == [f"[{step}/7]" for step in range(1, 8)]
    return out, "".join(lines[7:])


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of a compiled version; not to be changed."""
    return make_store(tmp_path_factory.mktemp("store"), make_history())


@pytest.fixture(scope="session")
def uncompiled_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same, but that scikit-learn itself predicts."""
    return make_store(tmp_path_factory.mktemp("uncompiled"), make_history(), compiled=False)


@pytest.fixture(scope="session")
def model(store: Store) -> Model:
    return Model.load(store.folder())


@pytest.fixture(scope="session")
def settings(store: Store) -> Settings:
    return Settings(
        model_tokens=TOKENS, model_store=str(store.path), model_max_body=ByteSize(100_000)
    )


def client_of(settings: Settings) -> TestClient:
    """A client of a server in this process, with a token."""
    headers = {"Authorization": f"Bearer {TOKENS[0]}"}
    model = Model.load(open_store(settings).folder())
    metrics = Metrics(model.manifest)
    app = create_app(model, tokens_of(settings), settings, metrics)
    return TestClient(app, headers=headers, raise_server_exceptions=False)


@pytest.fixture(scope="session")
def client(settings: Settings) -> TestClient:
    return client_of(settings)
