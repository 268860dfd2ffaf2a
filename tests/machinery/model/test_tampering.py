"""Whatever is wrong with an artifact is found before its model is loaded, and said in one line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from contract import TARGET
from model.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ONNX_FILE, ArtifactError, Data
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, digest_line, version_of
from model.engines.loading import Model

Change = Callable[[dict[str, Any]], object]


def copy(store: Store, path: Path) -> Path:
    """A copy of the current version, to damage."""
    return Path(shutil.copytree(store.folder(), path / store.current()))


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    return copy(store, tmp_path)


def edit(folder: Path, change: Change, corrected: bool = True) -> None:
    """Change the manifest and its digest, and unless told otherwise the version that follows."""
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    if corrected:
        data = Data.model_validate(manifest["data"])
        manifest["version"] = version_of(data, manifest["packages"], manifest["files"])
    content = json.dumps(manifest).encode()
    path.write_bytes(content)
    (folder / DIGEST_FILE).write_text(digest_line(content))


def refusal(folder: Path) -> str:
    """Why this folder is not loaded."""
    with pytest.raises(ArtifactError) as caught:
        Model.load(folder)
    assert len(str(caught.value).splitlines()) == 1
    assert str(folder) in str(caught.value)
    return str(caught.value)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_a_model_that_was_exchanged_is_never_unpickled(
    uncompiled_store: Store, tmp_path: Path
) -> None:
    folder, mark = copy(uncompiled_store, tmp_path), tmp_path / "it ran"
    joblib.dump(Bomb(mark), folder / MODEL_FILE)
    assert "not the file that was stored" in refusal(folder)
    assert not mark.exists()
    joblib.load(folder / MODEL_FILE)
    assert mark.exists()  # it would have run


@pytest.mark.parametrize("name", [MODEL_FILE, ONNX_FILE])
def test_one_changed_bit_or_a_missing_file_is_found(name: str, folder: Path) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert "not the file that was stored" in refusal(folder)
    (folder / name).unlink()
    assert name in refusal(folder)


def test_a_manifest_that_is_invalid_edited_or_without_its_digest_is_rejected(folder: Path) -> None:
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    for changes in ({"fallback": {}}, {"evaluation": None}, {"observed": {}}):
        path.write_text(json.dumps({**manifest, **changes}), "utf-8")
        assert "not the manifest" in refusal(folder)
    for text in ("", "{", "[]", "{}", '{"version": 7}'):
        path.write_text(text)
        assert f"{MANIFEST_FILE}: not a manifest (" in refusal(folder)
        assert "make train" in refusal(folder)
        assert ": :" not in refusal(folder)
    path.write_text(json.dumps(manifest), "utf-8")
    (folder / DIGEST_FILE).unlink()
    assert DIGEST_FILE in refusal(folder)


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


@pytest.mark.parametrize(
    ("change", "corrected", "fault"),
    [
        (lambda manifest: manifest.update(version="f" * 12), False, "version"),
        (lambda manifest: manifest.update(files={}), True, MODEL_FILE),
        (lambda manifest: manifest.update(signature="0" * 16), True, "contract"),
        (another_prediction, True, "self-test"),
        (another_class, True, "self-test"),
    ],
)
def test_a_version_that_is_not_what_its_manifest_says_is_rejected(
    change: Change, corrected: bool, fault: str, folder: Path
) -> None:
    edit(folder, change, corrected)
    assert fault in refusal(folder)


def test_a_graph_that_cannot_be_run_is_rejected(folder: Path) -> None:
    (folder / ONNX_FILE).write_bytes(b"from a later version of ONNX")
    digest = hashlib.sha256((folder / ONNX_FILE).read_bytes()).hexdigest()
    edit(folder, lambda manifest: manifest["files"].update({ONNX_FILE: digest}))
    assert "cannot run it" in refusal(folder)


def test_a_pickle_needs_the_packages_that_made_it_and_a_graph_does_not(
    folder: Path, uncompiled_store: Store, tmp_path: Path
) -> None:
    def made_by(folder: Path, name: str, version: str) -> Path:
        edit(folder, lambda manifest: manifest["packages"].update({name: version}))
        return folder

    pickle = copy(uncompiled_store, tmp_path / "uncompiled")
    Model.load(made_by(pickle, "numpy", ".".join([*np.__version__.split(".")[:2], "99"])))
    for package in (("numpy", "1.26.4"), ("numpy", "2.40.1"), ("scikit-learn", "1.2.3")):
        assert f"made by {' '.join(package)}" in refusal(made_by(pickle, *package))
        assert "make train" in refusal(pickle)
        Model.load(made_by(folder, *package))


def test_a_version_is_added_once_and_promoted(store: Store, tmp_path: Path) -> None:
    manifest = store.read()
    files = {name: (store.folder() / name).read_bytes() for name in manifest.files}
    other = Store(tmp_path / "store")
    with pytest.raises(OSError, match="no/folder"):
        other.add(manifest, {"no/folder": b""})
    assert list(other.path.iterdir()) == []  # what cannot be written leaves nothing behind
    with pytest.raises(ArtifactError, match="make train"):
        other.current()
    assert other.add(manifest, files)
    assert not other.add(manifest.model_copy(update={"python": "3.99"}), files)
    assert other.read(manifest.version) == manifest
    assert other.add(manifest.model_copy(update={"version": "0" * 12}), {})
    for version in (manifest.version, "0" * 12):
        other.promote(version)
        assert other.folder() == other.path / version
    assert {each.name for each in other.path.iterdir()} == {"current", manifest.version, "0" * 12}


@pytest.mark.parametrize("version", ["", "..", "../..", "f" * 12, "x" * 12, "current", "\0"])
def test_an_unknown_version_is_not_promoted(version: str, store: Store) -> None:
    before = store.current()
    with pytest.raises(ArtifactError, match="no version"):
        store.promote(version)
    assert store.current() == before
