"""What a worker's Python process does, without a cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import scoring
from support import parity_rows, table_of

from model.artifacts.manifest import Manifest
from model.artifacts.opening import open_store
from model.columns import Columns
from model.engines.predictions import Predictions
from model.errors import ModelError
from model.settings import load_settings


@pytest.fixture
def files() -> dict[str, bytes]:
    folder: Path = open_store(load_settings()).folder()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_nothing_is_loaded_that_was_changed_on_the_way(
    files: dict[str, bytes], manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_models", {})
    content = bytearray(files[manifest.engine_file])
    content[len(content) // 2] ^= 1
    shipped: Any = SimpleNamespace(value={**files, manifest.engine_file: bytes(content)})
    with pytest.raises(ModelError, match="not the file that was stored"):
        scoring.load(manifest.version, shipped)
    shipped.value = files
    assert scoring.load(manifest.version, shipped) is scoring.load(manifest.version, shipped)


def test_a_row_on_which_the_model_fails_is_rejected_and_no_other(
    files: dict[str, bytes], manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped: Any = SimpleNamespace(value=files)
    model = scoring.load(manifest.version, shipped)
    answers = iter([ArithmeticError("both"), None, ArithmeticError("the second")])

    def predict(columns: Columns) -> Predictions:
        if fault := next(answers):
            raise fault
        return model.predict(columns)

    failing = SimpleNamespace(manifest=manifest, predict=predict)
    monkeypatch.setattr(scoring, "_models", {manifest.version: failing})
    (batch,) = table_of(parity_rows()[:2]).to_batches()
    for_cells = scoring.Scorer(manifest.version, shipped, batch.schema, "cells")
    assert [*for_cells(iter([batch]))] == []
    for_all = scoring.Scorer(manifest.version, shipped, batch.schema, "all")
    (rejected,) = for_all(iter([batch]))
    assert rejected["key"].to_pylist() == ["1"]
    assert rejected["rejected_reason"].to_pylist() == ["the model fails on it: the second"]
