"""A server that is started before there is any version waits for the first one, and serves it."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from bucket_server import URL, bucket_server
from conftest import TOKENS, make_history, train
from support import connected, eventually, serving

from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.settings import Settings

pytestmark = pytest.mark.slow

WAITS = "no version is current yet: waiting for the first one"


def becomes_served(store: Store, folder: Path, settings: dict[str, str]) -> None:
    """Start a server on the empty store; promote the first version once it says that it waits."""
    manifest, files = train(make_history(60))
    store.add(manifest, files)
    log = folder / "log"

    def promote() -> None:
        eventually(lambda: log.exists() and WAITS in log.read_text("utf-8"))
        store.promote(manifest.version)

    thread = Thread(target=promote)
    thread.start()
    try:
        with serving(store, folder, settings=settings) as server, connected(server.at) as caller:
            assert caller.ask()[1]["model_version"] == manifest.version
            (line,) = server.lines("event", WAITS)
            assert line["store"] == store.name
    finally:
        thread.join()


def test_the_first_version_in_a_folder_is_served(tmp_path: Path) -> None:
    becomes_served(Store(tmp_path / "store"), tmp_path, {})


def test_the_first_version_in_a_bucket_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket_server() as (_, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        store = open_store(Settings(model_store=f"{URL}/first", model_cache=tmp_path / "cache"))
        settings = {"MODEL_STORE": store.name, "MODEL_CACHE": str(tmp_path / "own")}
        becomes_served(store, tmp_path, settings)


def test_a_server_that_waits_can_be_stopped(tmp_path: Path) -> None:
    given = {"MODEL_TOKENS": ",".join(TOKENS), "MODEL_STORE": str(tmp_path / "store")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "import model.cli; model.cli.main()", "serve"],
            cwd=tmp_path,
            env={**os.environ, **given},
            stdout=log,
        )
    try:
        assert eventually(lambda: WAITS in (tmp_path / "log").read_text("utf-8"))
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
