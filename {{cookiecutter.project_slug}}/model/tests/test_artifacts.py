"""Whatever is wrong with an artifact is found before its model is loaded, and said in one line."""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from model.artifacts.log import LOG_FILE
from model.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ONNX_FILE, Manifest
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, digest_line, version_of
from model.engines.loading import Model
from model.errors import ModelError

Change = Callable[[dict[str, Any]], object]


def copy(store: Store, path: Path) -> Path:
    """A copy of the current version, to damage."""
    return Path(shutil.copytree(store.folder(), path / "model"))


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    return copy(store, tmp_path)


def edit(folder: Path, change: Change) -> None:
    """Change the manifest and its digest, as one who knows how both are made."""
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    manifest["version"] = version_of(Manifest.model_validate(manifest))
    content = json.dumps(manifest).encode()
    path.write_bytes(content)
    (folder / DIGEST_FILE).write_text(digest_line(content))


def refusal(folder: Path) -> str:
    """Why this folder is not loaded."""
    with pytest.raises(ModelError) as caught:
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


@pytest.mark.parametrize("name", [MODEL_FILE, ONNX_FILE, DIGEST_FILE])
def test_one_changed_bit_or_a_missing_file_is_found(name: str, folder: Path) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert "that was stored" in refusal(folder)
    (folder / name).unlink()
    assert name in refusal(folder)


CHANGES: dict[str, Change] = {
    MODEL_FILE: lambda manifest: manifest["files"].pop(MODEL_FILE),
    "it needs unheard_of": lambda manifest: manifest["features"].update(unheard_of="float"),
    "self-test": lambda manifest: manifest["self_test"]["predictions"][0].clear(),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_a_version_that_is_not_what_its_manifest_says_is_rejected(fault: str, folder: Path) -> None:
    edit(folder, CHANGES[fault])
    assert fault in refusal(folder)


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


def test_a_pickle_needs_the_other_packages_of_its_pipeline(
    folder: Path, uncompiled_store: Store, tmp_path: Path
) -> None:
    def needs(folder: Path, **packages: str) -> Path:
        edit(folder, lambda manifest: manifest["packages"].update(packages))
        return folder

    pickle = copy(uncompiled_store, tmp_path / "uncompiled")
    Model.load(needs(pickle, pytest=f"{pytest.__version__.rpartition('.')[0]}.99"))
    assert "made by pytest 1.0, and here it is " in refusal(needs(pickle, pytest="1.0"))
    lost = needs(copy(uncompiled_store, tmp_path / "lost"), lost="1.0")
    assert "made by lost 1.0, and here it is not installed" in refusal(lost)
    assert "install lost 1.0" in refusal(lost)
    Model.load(needs(folder, lost="1.0"))  # a graph needs none


def test_a_pickle_that_cannot_be_loaded_is_told(uncompiled_store: Store, tmp_path: Path) -> None:
    folder = copy(uncompiled_store, tmp_path)
    lost = b"cnowhere\nlost\n."  # of a function that was renamed since
    (folder / MODEL_FILE).write_bytes(lost)
    edit(folder, lambda manifest: manifest["files"].update({MODEL_FILE: sha256(lost).hexdigest()}))
    assert "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'" in refusal(folder)


def test_a_folder_of_another_name_is_rejected(store: Store, tmp_path: Path) -> None:
    other = shutil.copytree(store.folder(), tmp_path / ("f" * 12))
    assert f"holds the version {store.current()}" in refusal(other)


def test_a_store_that_cannot_be_read_or_written_is_told(store: Store, tmp_path: Path) -> None:
    version = store.current()
    shutil.copytree(store.path, tmp_path / "store")
    damaged = Store(tmp_path / "store")
    log = damaged.path / LOG_FILE
    log.write_bytes(b"\xff\n")
    with pytest.raises(ModelError, match=r"log\.jsonl: .*make train"):
        damaged.current()
    log.unlink()
    log.mkdir()
    with pytest.raises(ModelError, match=r"not a regular file|Is a directory"):
        damaged.promote(version)


def test_a_version_is_added_once_and_promoted(store: Store, tmp_path: Path) -> None:
    manifest = store.read()
    files = {name: (store.folder() / name).read_bytes() for name in manifest.files}
    other = Store(tmp_path / "store")
    with pytest.raises(ModelError, match="No such file"):
        other.add(manifest, {"no/folder": b""})
    assert list(other.path.iterdir()) == []  # what cannot be written leaves nothing behind
    with pytest.raises(ModelError, match="make train"):
        other.current()
    assert other.add(manifest, files)
    assert not other.add(manifest.model_copy(update={"python": "3.99"}), files)
    assert other.read(manifest.version) == manifest
    second = manifest.model_copy(update={"evaluation": None})
    second = second.model_copy(update={"version": version_of(second)})
    with pytest.raises(ModelError, match=r"model\.joblib"):
        other.add(second, {})  # it cannot be read back
    assert other.add(second, files)
    for version in (manifest.version, second.version):
        other.promote(version)
        assert other.folder() == other.path / version
    versions = {manifest.version, second.version}
    assert {each.name for each in other.path.iterdir()} == {LOG_FILE, *versions}


@pytest.mark.parametrize(("mode", "others"), [(0o700, 0), (0o755, 0o055), (0o750, 0o050)])
def test_who_may_read_the_store_may_read_what_is_added(
    store: Store, tmp_path: Path, mode: int, others: int
) -> None:
    manifest = store.read()
    files = {name: (store.folder() / name).read_bytes() for name in manifest.files}
    shared = Store(tmp_path / "shared")
    shared.path.mkdir()
    shared.path.chmod(mode)
    umask = os.umask(0o077)  # as `model` has it
    try:
        shared.add(manifest, files)
        shared.promote(manifest.version)
    finally:
        os.umask(umask)
    made = [shared.path / LOG_FILE, shared.folder(), *shared.folder().iterdir()]
    assert len(made) > 4
    for path in made:
        allowed = others if path.is_dir() else others & 0o044
        assert path.stat().st_mode & 0o077 == allowed, path
