"""A store holds what was put there, whoever else writes and whenever it is killed."""

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from bucket_server import URL, bucket_server, call
from conftest import make_history, train

from model.artifacts.log import LOG_FILE, parse, version_before
from model.artifacts.manifest import MODEL_FILE
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.engines.loading import Model
from model.errors import ModelError
from model.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server, which is that of the environment."""
    with bucket_server() as (address, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield address


@pytest.fixture(params=["folder", "bucket"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Of an empty store."""
    if request.param == "folder":
        return Settings(model_store=tmp_path / "store")
    request.getfixturevalue("s3")
    return Settings(model_store=f"{URL}/{tmp_path.name}", model_cache=tmp_path / "cache")


@pytest.fixture(scope="module")
def two() -> list[tuple[object, dict[str, bytes]]]:
    """Two versions, with their files."""
    return [train(make_history(60, seed)) for seed in (0, 1)]


def test_a_version_is_stored_once_and_found_by_others(
    settings: Settings, two: list, tmp_path: Path
) -> None:
    store = open_store(settings)
    (first, files), (second, others) = two
    with pytest.raises(ModelError, match="no current version; run `make train`"):
        store.current()
    assert store.add(first, files)
    assert not store.add(first.model_copy(update={"python": "3.99"}), files)
    store.add(second, others)
    store.promote(first.version, "the first")
    elsewhere = open_store(settings.model_copy(update={"model_cache": tmp_path / "another cache"}))
    assert elsewhere.current() == first.version
    assert Model.load(elsewhere.folder()).manifest == first
    found, faults = elsewhere.versions()
    assert ({each.version for each in found}, faults) == ({first.version, second.version}, [])
    with pytest.raises(ModelError, match="no version 'ffffffffffff'"):
        elsewhere.folder("f" * 12)


def test_of_two_promoters_one_is_told(settings: Settings, two: list) -> None:
    store = open_store(settings)
    for manifest, files in two:
        store.add(manifest, files)
    versions = [manifest.version for manifest, _ in two]
    seen = store.history()
    store.promote(versions[0], over=seen)
    with pytest.raises(ModelError, match=f"meanwhile .* made {versions[0]} the current version"):
        open_store(settings).promote(versions[1], over=seen)
    assert store.current() == versions[0]
    store.promote(versions[1])
    entries = store.history()
    assert [(each.previous, each.to) for each in entries] == [(None, versions[0]), (*versions,)]
    assert version_before(entries) == versions[0]
    store.promote(versions[0], action="rollback")
    assert version_before(store.history()) is None


def test_versions_move_between_stores(settings: Settings, two: list, tmp_path: Path) -> None:
    store, other = open_store(settings), Store(tmp_path / "other")
    manifest, files = two[0]
    other.add(manifest, files)
    assert store.receive(other.folder(manifest.version))
    assert not store.receive(other.folder(manifest.version))
    assert store.read(manifest.version) == manifest
    (other.folder(manifest.version) / MODEL_FILE).write_bytes(b"damaged")
    third = Store(tmp_path / "third")
    with pytest.raises(ModelError, match="not the file that was stored"):
        third.receive(other.folder(manifest.version))
    assert third.versions() == ([], [])


def test_what_is_damaged_in_a_bucket_is_never_used(s3: str, two: list, tmp_path: Path) -> None:
    manifest, files = two[0]
    url = f"{URL}/damaged"
    store = open_store(Settings(model_store=url, model_cache=tmp_path / "cache"))
    store.add(manifest, files)
    store.promote(manifest.version)
    where = f"{s3}/bucket/models/damaged/{manifest.version}.tar"
    archive = bytearray(call(where))
    outside = io.BytesIO()
    with tarfile.open(fileobj=outside, mode="w") as tar:
        member = tarfile.TarInfo("../../escaped")
        tar.addfile(member, io.BytesIO())
    archive[len(archive) // 2] ^= 1
    for number, content in enumerate((bytes(archive), b"", b"x" * 9999, outside.getvalue())):
        call(where, content, "PUT")
        fresh = Settings(model_store=url, model_cache=tmp_path / f"cache-{number}")
        with pytest.raises(ModelError) as caught:
            Model.load(open_store(fresh).folder())
        assert len(str(caught.value).splitlines()) == 1
        assert not list(tmp_path.rglob("escaped"))
        assert not list((tmp_path / f"cache-{number}").rglob(MODEL_FILE))


def test_what_is_kept_here_is_not_taken_for_stored(s3: str, two: list, tmp_path: Path) -> None:
    """It was trained while the bucket was out of reach, or somebody has emptied that since."""
    url = f"{URL}/{tmp_path.name}"
    store = open_store(Settings(model_store=url, model_cache=tmp_path / "cache"))
    manifest, files = two[0]
    assert store.add(manifest, files)
    object_ = f"{s3}/bucket/models/{tmp_path.name}/{manifest.version}.tar"
    for store_again in (
        lambda: store.add(manifest, files),
        lambda: store.receive(store.folder(manifest.version)),
    ):
        call(object_, method="DELETE")
        with pytest.raises(ModelError, match=f"no version '{manifest.version}'"):
            store.promote(manifest.version)
        assert store_again()
        assert not store_again()
        store.promote(manifest.version)


def test_a_bucket_that_cannot_be_reached_is_told_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-bucket")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store = open_store(Settings(model_store=URL, model_cache=tmp_path))
    with pytest.raises(ModelError, match=f"MODEL_STORE: {URL}: ") as caught:
        store.current()
    assert "secret-of" not in str(caught.value)
    with pytest.raises(ModelError, match="MODEL_STORE: ftp://"):
        open_store(Settings(model_store="ftp://there"))


TRIES = 100
PROMOTERS = """
import os, sys
from model.artifacts.opening import open_store
from model.settings import Settings

settings = Settings.model_validate_json(sys.argv[1])
for line in sys.stdin:  # each a process of its own, which is quicker than to start Python for it
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("ended", flush=True)
    else:
        store = open_store(settings)
        while True:
            for version in sys.argv[2:]:
                store.promote(version, "a reason of some length " * 20)
"""


def test_a_store_is_valid_whenever_a_promotion_is_killed(
    settings: Settings, two: list, request: pytest.FixtureRequest
) -> None:
    """By kill -9 at any point, a hundred times."""

    def content() -> bytes:
        if "://" not in settings.model_store:
            return (Path(settings.model_store) / LOG_FILE).read_bytes()
        where = settings.model_store.replace("s3://", f"{request.getfixturevalue('s3')}/")
        return call(f"{where}/{LOG_FILE}")

    versions = [manifest.version for manifest, _ in two]
    store = open_store(settings)
    for manifest, files in two:
        store.add(manifest, files)
    store.promote(versions[0])
    given = settings.model_dump_json(include={"model_store", "model_cache"})
    command = [sys.executable, "-c", PROMOTERS, given, *versions]
    draw, known = random.Random(0), 1
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as promoters:
        assert promoters.stdin
        assert promoters.stdout
        for _ in range(TRIES):
            promoters.stdin.write("\n")
            promoters.stdin.flush()
            pid, size = int(promoters.stdout.readline()), len(content())
            while len(content()) == size:
                os.kill(pid, 0)  # until it has begun, however busy the machine is
            time.sleep(draw.random() * 0.02)
            os.kill(pid, signal.SIGKILL)
            assert promoters.stdout.readline() == "ended\n"
            entries = parse(content(), "log")
            assert len(entries) > known
            known = len(entries)
            assert [each.previous for each in entries[1:]] == [each.to for each in entries[:-1]]
            assert entries[-1].to in versions
        promoters.stdin.close()
    store.promote(versions[0], "goes on")
    assert store.current() == versions[0]
