"""In the caller's own process the model says the same as over HTTP."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from conftest import INFER, REQUEST
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from contract import MODEL_NAME, ContractError
from model.errors import ModelError
from model.library import open_engine
from model.store import Store


def test_the_entry_point_answers_like_the_server(client: TestClient, store: Store) -> None:
    (found,) = entry_points(group="predictor.engine", name="library")
    assert found.load() is open_engine
    for path in (store.path, str(store.path), store.folder()):
        engine = open_engine(path)
        request = {**REQUEST, "id": "7"}
        assert engine.infer(request) == client.post(INFER, json=request).json()
        assert engine.metadata() == client.get(f"/v2/models/{MODEL_NAME}").json()
        with pytest.raises(ContractError):
            engine.infer({})
    with pytest.raises(ModelError, match="make train"):
        open_engine(Path("nowhere"))


def test_synthetic_data_are_warned_of(store: Store) -> None:
    with capture_logs() as lines:
        open_engine(store.path)
    warnings = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert ["SYNTHETIC" in warning for warning in warnings] == [True]
