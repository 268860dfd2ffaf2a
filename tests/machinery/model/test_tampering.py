"""Whatever is done to an artifact by hand is found before its model is loaded."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from support import serving
from test_artifacts import Bomb, edit, folder, refusal

from contract import TARGET
from model.artifacts.manifest import MANIFEST_FILE, MODEL_FILE, ONNX_FILE
from model.artifacts.store import Store
from model.artifacts.verification import DIGEST_FILE, digest_line
from model.engines.loading import Model
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


def swapped_for_a_link(path: Path) -> None:
    """The same bytes, but somewhere else."""
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


def swapped_for_a_pipe(path: Path) -> None:
    """Which would have whoever reads it wait."""
    path.unlink()
    os.mkfifo(path)


def swapped_for_a_folder(path: Path) -> None:
    """In which a name leads on."""
    path.unlink()
    path.mkdir()


WAYS: list[tuple[Callable[[Path], object], str]] = [
    (swapped_for_a_link, "symbolic links"),
    (swapped_for_a_pipe, "not a regular file"),
    (swapped_for_a_folder, "Is a directory"),
    (lambda path: path.chmod(0o660), "other users can write it; `chmod go-w "),
    (lambda path: path.chmod(0o602), "other users can write it; `chmod go-w "),
]


@pytest.mark.parametrize(("change", "fault"), WAYS)
@pytest.mark.parametrize("name", [MANIFEST_FILE, DIGEST_FILE, MODEL_FILE, ONNX_FILE])
def test_what_is_no_file_of_this_user_alone_is_not_read(
    name: str, change: Callable[[Path], object], fault: str, folder: Path
) -> None:
    change(folder / name)
    assert f"{folder / name}: " in refusal(folder)
    assert fault in refusal(folder)


def test_a_folder_that_others_can_write_is_a_link_or_holds_more_is_rejected(folder: Path) -> None:
    for each in (folder, folder.parent):
        for mode in (0o770, 0o702):
            each.chmod(mode)
            with pytest.raises(ModelError, match=f"{each}: other users can write it"):
                Model.load(folder)
        each.chmod(0o700)
    (folder / "usercustomize.py").touch()
    assert "holds what is not its own: 'usercustomize.py'; remove it" in refusal(folder)
    (folder / "usercustomize.py").unlink()
    swapped_for_a_link(folder)
    assert "not a folder" in refusal(folder)
    assert "No such file" in refusal(folder.parent / "none")


def test_a_store_a_folder_or_a_file_of_another_user_is_rejected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:  # who can give nothing away
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(ModelError, match=f"{folder.parent}: belongs to user {os.getuid()}"):
            Model.load(folder)
        return
    for each in (folder.parent, folder, folder / MANIFEST_FILE, folder / MODEL_FILE):
        os.chown(each, 12345, -1)
        with pytest.raises(ModelError, match=f"{each}: belongs to user 12345"):
            Model.load(folder)
        os.chown(each, 0, -1)
    Model.load(folder)


HOOK = """
import os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def watch(event, arguments):
    if event == "pickle.find_class":
        note(event)
    if event == "open" and str(arguments[0]).startswith(STORE) and arguments[2] & WRITES:
        note(f"writes {arguments[0]}")

def note(what):
    with open(NOTES, "a") as file:
        file.write(f"{what}\\n")

sys.addaudithook(watch)
"""


@pytest.mark.parametrize("compiled", [True, False])
def test_a_server_of_a_compiled_version_unpickles_nothing_and_writes_nothing_to_its_store(
    compiled: bool, store: Store, uncompiled_store: Store, tmp_path: Path
) -> None:
    kept, notes = tmp_path / "store", tmp_path / "notes"
    shutil.copytree((store if compiled else uncompiled_store).path, kept)
    folder = Store(kept).folder()
    if compiled:  # a pickle that would run, vouched for by one who can write the store
        joblib.dump(Bomb(tmp_path / "it ran"), folder / MODEL_FILE)
        digest = hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
        edit(folder, lambda manifest: manifest["files"].update({MODEL_FILE: digest}))
        version = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["version"]
        folder.rename(kept / version)
        Store(kept).promote(version)
    hook = f"STORE, NOTES = {str(kept)!r}, {str(notes)!r}\n{HOOK}"
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(hook)
    path = os.pathsep.join([str(tmp_path / "hook"), *sys.path])
    with serving(Store(kept), tmp_path, settings={"PYTHONPATH": path}) as server:
        loaded = [Path(f"/proc/{each}/maps").read_text() for each in server.workers()]
    assert loaded
    assert all(("sklearn" in maps) != compiled for maps in loaded)
    assert not (tmp_path / "it ran").exists()
    noted = set(notes.read_text().splitlines()) if notes.exists() else set()
    assert noted == (set() if compiled else {"pickle.find_class"})
