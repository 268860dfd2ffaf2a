"""Whatever is done to an artifact by hand is found before its model is loaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from test_artifacts import edit, folder, refusal

from contract import TARGET
from model.artifacts.manifest import MANIFEST_FILE, ONNX_FILE
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, digest_line
from model.errors import ModelError

__all__ = ["folder"]  # the fixture


def test_a_manifest_that_is_invalid_edited_or_without_its_digest_is_rejected(folder: Path) -> None:
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    changes: dict[str, Any] = {"fallback": {}, "evaluation": None, "observed": {}}
    for change in changes.items():
        path.write_text(json.dumps({**manifest, **dict([change])}), "utf-8")
        assert "not the manifest" in refusal(folder)
    for text in ("", "{", "[]", "{}", '{"version": 7}'):
        path.write_text(text)
        assert f"{MANIFEST_FILE}: " in refusal(folder)
        assert "make train" in refusal(folder)
        assert ": :" not in refusal(folder)
    path.write_text(json.dumps(manifest), "utf-8")
    (folder / DIGEST_FILE).unlink()
    assert DIGEST_FILE in refusal(folder)


def test_a_manifest_of_another_version_is_rejected(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    content = json.dumps({**manifest, "version": "f" * 12})
    (folder / MANIFEST_FILE).write_text(content)
    (folder / DIGEST_FILE).write_text(digest_line(content.encode()))
    assert "version" in refusal(folder)


def another_prediction(manifest: dict[str, Any]) -> None:
    """Expect slightly other numbers in the self-test, and another class."""
    prediction = manifest["self_test"]["predictions"][0]
    for part in (prediction, prediction.get("probabilities", {})):
        for name, value in part.items():
            if isinstance(value, float):
                part[name] = value * (1 + 1e-4)


def another_class(manifest: dict[str, Any]) -> None:
    """Expect another class in the self-test."""
    prediction = manifest["self_test"]["predictions"][0]
    value = prediction[TARGET.name]
    prediction[TARGET.name] = not value if isinstance(value, bool) else "x"


@pytest.mark.parametrize("change", [another_prediction, another_class])
def test_a_version_that_predicts_otherwise_than_it_did_is_rejected(
    change: Any, folder: Path
) -> None:
    before = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["self_test"]
    edit(folder, change)
    assert json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["self_test"] != before
    assert "self-test" in refusal(folder)


def test_a_graph_that_cannot_be_run_is_rejected(folder: Path) -> None:
    (folder / ONNX_FILE).write_bytes(b"from a later version of ONNX")
    digest = hashlib.sha256((folder / ONNX_FILE).read_bytes()).hexdigest()
    edit(folder, lambda manifest: manifest["files"].update({ONNX_FILE: digest}))
    assert "cannot run it" in refusal(folder)


@pytest.mark.parametrize("version", ["", "..", "../..", "f" * 12, "x" * 12, "current", "\0"])
def test_an_unknown_version_is_not_promoted(version: str, store: Store) -> None:
    before = store.current()
    with pytest.raises(ModelError, match="no version"):
        store.promote(version)
    assert store.current() == before
