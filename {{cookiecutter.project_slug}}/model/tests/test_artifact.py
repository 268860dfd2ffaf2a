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
from conftest import make_history

from contract import TARGET
from model.artifact import (
    DIGEST_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    ONNX_FILE,
    ArtifactError,
    Data,
    Manifest,
    digest_line,
    version_of,
)
from model.engine import Engine
from model.store import Store
from model.training import train


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    """A copy of the current version, to spoil."""
    return Path(shutil.copytree(store.folder(), tmp_path / store.current()))


@pytest.fixture
def uncompiled(uncompiled_store: Store, tmp_path: Path) -> Path:
    """A copy of a version that scikit-learn answers for."""
    return Path(shutil.copytree(uncompiled_store.folder(), tmp_path / uncompiled_store.current()))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as a person would who also corrects the version and the digest."""
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    manifest["version"] = version_of(
        Data.model_validate(manifest["data"]), manifest["packages"], manifest["files"]
    )
    write(folder, manifest)


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Make this the manifest, with the digest of it."""
    content = json.dumps(manifest).encode()
    (folder / MANIFEST_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_text(digest_line(content))


def refusal(folder: Path) -> str:
    """Why the engine will not load this folder, said before anything in it could run."""
    with pytest.raises(ArtifactError) as caught:
        Engine.load(folder)
    assert len(str(caught.value).splitlines()) == 1
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_a_stored_version_answers_its_own_rows(folder: Path) -> None:
    engine = Engine.load(folder)
    test = engine.manifest.self_test
    answers = engine.predict(test.columns).rows(engine.manifest.classes)
    for answer, expected in zip(answers, test.predictions, strict=True):
        value = expected[TARGET.name]
        assert answer[TARGET.name] == (
            pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        )


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_a_model_that_was_swapped_is_never_loaded(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    joblib.dump(Bomb(mark), folder / MODEL_FILE)
    assert "not the file that was stored" in refusal(folder)
    assert not mark.exists()
    joblib.load(folder / MODEL_FILE)
    assert mark.exists()  # it would have run


@pytest.mark.parametrize("name", [MODEL_FILE, ONNX_FILE])
def test_one_bit_is_enough(name: str, folder: Path) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert "not the file that was stored" in refusal(folder)


@pytest.mark.parametrize("name", [MODEL_FILE, ONNX_FILE])
def test_a_file_that_is_missing_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert name in refusal(folder)


def test_a_graph_that_cannot_be_run_is_refused(folder: Path) -> None:
    (folder / ONNX_FILE).write_bytes(b"from a later version of ONNX")
    digest = hashlib.sha256((folder / ONNX_FILE).read_bytes()).hexdigest()
    edit(folder, lambda manifest: manifest["files"].update({ONNX_FILE: digest}))
    assert "cannot run it" in refusal(folder)


@pytest.mark.parametrize(
    ("package", "version"),
    [("scikit-learn", "1.2.3"), ("numpy", "1.26.4"), ("numpy", "2.40.1")],
)
def test_an_artifact_of_another_version_is_refused(
    package: str, version: str, uncompiled: Path
) -> None:
    edit(uncompiled, lambda manifest: manifest["packages"].update({package: version}))
    said = refusal(uncompiled)
    assert f"made by {package} {version}" in said
    assert "make train" in said


def test_an_artifact_of_a_near_version_of_numpy_is_served(uncompiled: Path) -> None:
    near = ".".join([*np.__version__.split(".")[:2], "99"])
    edit(uncompiled, lambda manifest: manifest["packages"].update({"numpy": near}))
    Engine.load(uncompiled)


def test_a_compiled_artifact_outlives_the_packages_that_made_it(folder: Path) -> None:
    others = {"scikit-learn": "1.2.3", "numpy": "1.26.4"}
    edit(folder, lambda manifest: manifest["packages"].update(others))
    Engine.load(folder)


def test_an_artifact_of_another_contract_is_refused(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(signature="0" * 16))
    assert "contract" in refusal(folder)


def test_an_artifact_that_answers_something_else_is_refused(folder: Path) -> None:
    def spoil(manifest: dict[str, Any]) -> None:
        prediction = manifest["self_test"]["predictions"][0]
        value = prediction[TARGET.name]
        prediction[TARGET.name] = not value if isinstance(value, bool) else "x"
        if isinstance(value, float):
            prediction[TARGET.name] = value * (1 + 1e-4)

    edit(folder, spoil)
    assert "self-test" in refusal(folder)
{%- if cookiecutter.__task != 'regression' %}


def test_an_artifact_that_is_differently_sure_is_refused(folder: Path) -> None:
    def spoil(manifest: dict[str, Any]) -> None:
        shares = manifest["self_test"]["predictions"][0]["probabilities"]
        shares.update({name: share * (1 + 1e-4) for name, share in shares.items()})

    edit(folder, spoil)
    assert "self-test" in refusal(folder)
{%- endif %}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 7}'])
def test_a_manifest_that_is_none_is_refused(text: str, folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text(text)
    said = refusal(folder)
    assert f"{MANIFEST_FILE}: not a manifest (" in said
    assert "make train" in said
    assert ": :" not in said


@pytest.mark.parametrize(
    "changes", [{"synthetic": False}, {"fallback": {}}, {"evaluation": None}, {"observed": {}}]
)
def test_a_manifest_that_was_changed_by_hand_is_refused(
    changes: dict[str, Any], folder: Path
) -> None:
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text("utf-8"))
    part = manifest["data"] if "synthetic" in changes else manifest
    part.update(changes)
    path.write_text(json.dumps(manifest), "utf-8")
    assert "not the manifest" in refusal(folder)


def test_a_manifest_without_its_digest_is_refused(folder: Path) -> None:
    (folder / DIGEST_FILE).unlink()
    assert DIGEST_FILE in refusal(folder)


def test_a_manifest_of_another_version_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    write(folder, {**manifest, "version": "f" * 12})
    assert "version" in refusal(folder)


def test_a_manifest_cannot_do_without_the_models_digest(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(files={}))
    assert MODEL_FILE in refusal(folder)


def test_a_version_is_added_once_and_left_alone(tmp_path: Path) -> None:
    manifest, files = train(make_history(40))
    assert set(files) == {MODEL_FILE, ONNX_FILE}
    store = Store(tmp_path / "store")
    assert store.add(manifest, files)
    before = (store.folder(manifest.version) / MANIFEST_FILE).read_bytes()
    again, _ = train(make_history(40))
    assert not store.add(again, files)
    assert (store.folder(manifest.version) / MANIFEST_FILE).read_bytes() == before
    assert store.read(manifest.version) == manifest
    assert [each.name for each in store.path.iterdir()] == [manifest.version]
    found = hashlib.sha256((store.folder(manifest.version) / MODEL_FILE).read_bytes()).hexdigest()
    assert found == manifest.files[MODEL_FILE]


def test_a_version_that_fails_its_self_test_is_replaced(folder: Path, store: Store) -> None:
    edit(folder, lambda manifest: manifest["self_test"].update(predictions=[{}]))
    assert "self-test" in refusal(folder)
    files = {name: (folder / name).read_bytes() for name in (MODEL_FILE, ONNX_FILE)}
    assert Store(folder.parent).add(store.read(), files)
    Engine.load(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_version_that_cannot_be_written_leaves_nothing_behind(
    store: Store, tmp_path: Path
) -> None:
    other = Store(tmp_path / "store")
    with pytest.raises(OSError, match="no/folder"):
        other.add(store.read(), {"no/folder": b""})
    assert list(other.path.iterdir()) == []


def test_promoting_makes_a_version_current(store: Store, tmp_path: Path) -> None:
    manifest = store.read()
    other = Store(tmp_path / "store")
    with pytest.raises(ArtifactError, match="make train"):
        other.current()
    for version in (manifest.version, "0" * 12):
        _add(other, manifest.model_copy(update={"version": version}))
        other.promote(version)
        assert other.current() == version
    assert other.folder() == other.path / ("0" * 12)
    assert len(other.versions()) == 2
    assert {each.name for each in other.path.iterdir()} == {"current", manifest.version, "0" * 12}


def _add(store: Store, manifest: Manifest) -> None:
    assert store.add(manifest, {})


@pytest.mark.parametrize("version", ["", "..", "../..", "f" * 12, "x" * 12, "current", "\0"])
def test_a_version_that_is_not_there_is_not_promoted(version: str, store: Store) -> None:
    before = store.current()
    with pytest.raises(ArtifactError, match="no version"):
        store.promote(version)
    assert store.current() == before
