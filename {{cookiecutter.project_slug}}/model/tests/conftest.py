"""A small history made from the contract, a store with one version of it, and its server."""

import csv
import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ByteSize
from starlette.testclient import TestClient

# Threads that wait for each other cost seconds per fit on a machine with no core to spare.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from contract import FEATURES, MODEL_NAME, TARGET, Column, golden
from model.artifact import Data
from model.history import History, read_history
from model.server import create_app
from model.settings import Settings
from model.store import Store
from model.training import train

ROWS = 120
TOKENS = ("the-new-token", "the-old-token")
REQUEST: dict[str, Any] = golden()[-1].request
INFER = f"/v2/models/{MODEL_NAME}/infer"


def make_value(column: Column, draw: random.Random) -> Any:
    """Any value of this column; missing in one row of five where it may be."""
    if column.optional and draw.random() < 0.2:
        return None
    values: dict[str, Any] = {
        "FP64": round(draw.uniform(-5, 100), 3),
        "INT64": draw.randrange(-3, 20),
        "BOOL": draw.random() < 0.5,
        "BYTES": draw.choice(["a", 'caf\u00e9 "noir"', "c, d", "\U0001f680"]),
    }
    return values[column.datatype]


def make_history(rows: int = ROWS, seed: int = 0, lead: Column = FEATURES[0]) -> History:
    """Rows that fit the contract; the target follows one of the features."""
    draw = random.Random(seed)
    columns = {each.name: [make_value(each, draw) for _ in range(rows)] for each in FEATURES}
    targets: list[Any] = []
    for value in columns[lead.name]:
        bit = int(value in (True, "c, d") or (type(value) in (int, float) and value > 8))
        target = {"FP64": 100.0 * bit + draw.random(), "BOOL": bool(bit), "BYTES": f"class {bit}"}
        targets.append(target[TARGET.datatype])
    return History(
        columns, targets, Data(source="test", sha256="0" * 64, rows=rows, synthetic=True)
    )


def write_csv(path: Path, history: History) -> Path:
    """The history as the file that it could have been read from."""
    columns = {**history.columns, TARGET.name: history.targets}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(cell_of(value) for value in row)
    return path


def cell_of(value: Any) -> str:
    """A value as it stands in a CSV file."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="session")
def history_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history as a file, with a provenance that says it was made up."""
    path = write_csv(tmp_path_factory.mktemp("data") / "history.csv", make_history())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    said = {"source": "made up", "synthetic": True, "sha256": digest}
    path.with_name("provenance.json").write_text(json.dumps(said))
    return path


@pytest.fixture(scope="session")
def store(history_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose one version is current; not to be changed."""
    manifest, files = train(read_history(history_csv))
    store = Store(tmp_path_factory.mktemp("store"))
    store.add(manifest, files)
    store.promote(manifest.version)
    return store


@pytest.fixture(scope="session")
def uncompiled_store(history_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same, but that scikit-learn itself answers."""
    manifest, files = train(read_history(history_csv), compiled=False)
    store = Store(tmp_path_factory.mktemp("uncompiled"))
    store.add(manifest, files)
    store.promote(manifest.version)
    return store


@pytest.fixture(scope="session")
def settings(store: Store) -> Settings:
    """Settings that serve the store and accept two tokens."""
    return Settings(model_tokens=TOKENS, model_store=store.path, model_max_body=ByteSize(100_000))


def client_of(settings: Settings) -> TestClient:
    """A client of a server in this process, with a token."""
    return TestClient(
        create_app(settings),
        headers={"Authorization": f"Bearer {TOKENS[0]}"},
        raise_server_exceptions=False,
    )


@pytest.fixture(scope="session")
def client(settings: Settings) -> TestClient:
    """A client of the server of the store."""
    return client_of(settings)
