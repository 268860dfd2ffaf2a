"""A running server serves what becomes current, under load, and no request fails."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from bucket_server import URL, bucket_server, call
from conftest import REQUEST, make_history, train
from support import AUTHORIZATION, BODY, Connection, Server, connected, eventually, serving

from model.artifacts.log import version_before
from model.artifacts.manifest import ONNX_FILE
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.engines.loading import Model
from model.serving import protocol
from model.serving.library import open_model
from model.settings import Settings

pytestmark = pytest.mark.slow

CALLERS = 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of its own with two versions, the first one current."""
    return fill(Store(tmp_path / "store"))


def fill(store: Store) -> Store:
    for seed in (0, 1):
        manifest, files = train(make_history(120, seed))
        store.add(manifest, files)
        if not seed:
            store.promote(manifest.version)
    return store


def other_of(store: Store) -> str:
    """The version that is not current."""
    (other,) = {each.version for each in store.versions()[0]} - {store.current()}
    return other


class Load:
    """Callers that keep their connections, and repeat once what one that was closed did not answer.

    That is what the service does.
    """

    def __init__(self, server: Server, expected: dict[str, list[list[Any]]]) -> None:
        self.server, self.expected = server, expected
        self.faults: list[str] = []
        self.latest = [""] * CALLERS
        self.seconds: list[tuple[float, float]] = []
        self._ended = Event()
        self._threads = [Thread(target=self._call, args=[number]) for number in range(CALLERS)]

    def __enter__(self) -> "Load":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for each in self._threads:
            each.join()

    def serves(self, version: str) -> bool:
        """Whether the latest answers to all callers are of this version."""
        return bool(self.faults) or set(self.latest) == {version}

    def _call(self, number: int) -> None:
        connection = Connection(self.server.at)
        try:
            while not self._ended.is_set():
                began = time.perf_counter()
                try:
                    status, answer = connection.ask()
                except (OSError, HTTPException):
                    connection.close()
                    status, answer = connection.ask()
                self.seconds.append((time.monotonic(), time.perf_counter() - began))
                version = answer.get("model_version", "")
                if status != 200 or data_of(answer) != self.expected[version]:
                    self.faults.append(f"{status} {answer}")
                self.latest[number] = version
                time.sleep(0.002)
        except Exception as error:
            self.faults.append(repr(error))
        finally:
            connection.close()


def data_of(answer: dict[str, Any]) -> list[list[Any]]:
    """The predictions in an answer."""
    return [each["data"] for each in answer["outputs"]]


def answers_of(store: Store) -> dict[str, list[list[Any]]]:
    """What each version answers to BODY."""
    inference = protocol.read_request(REQUEST)
    found = {}
    for manifest in store.versions()[0]:
        model = Model.load(store.folder(manifest.version))
        response = protocol.response_of(model, inference, model.predict(inference.columns))
        found[manifest.version] = data_of(response)
    return found


def metric(server: Server, name: str) -> float:
    with connected(server.at) as connection:
        connection.request("GET", "/metrics", headers=AUTHORIZATION)
        lines = connection.getresponse().read().decode().splitlines()
    return max(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_forty_swaps_under_load_fail_no_request(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, settings={"MODEL_WORKERS": "2"}) as server:
        assert eventually(lambda: len(server.workers()) == 2)
        memory = metric(server, "process_resident_memory_bytes")
        swaps = []
        with Load(server, answers_of(store)) as load:
            assert eventually(lambda: load.serves(store.current()))
            for number in range(40):
                if number % 2:
                    version = version_before(store.history())
                    assert version
                    store.promote(version, action="rollback")
                else:
                    version = other_of(store)
                    store.promote(version)
                began = time.monotonic()
                assert eventually(lambda wanted=version: load.serves(wanted)), load.latest
                swaps.append((began, time.monotonic() - began))
        assert not load.faults, load.faults[:3]
        assert eventually(lambda: len(server.workers()) == 2)
        assert eventually(lambda: metric(server, "process_resident_memory_bytes") < 1.3 * memory)
        assert metric(server, "model_reload_failing") == 0
    report(load, swaps)


def report(load: Load, swaps: list[tuple[float, float]]) -> None:
    """Print what was measured, which hangs on the machine."""
    times = [took for _, took in swaps]
    during = [took for at, took in load.seconds if any(a <= at <= a + b for a, b in swaps)]
    print(f"{len(load.seconds)} requests; everywhere after {statistics.median(times):.2f} s,")
    print(
        f"at most {max(times):.2f} s; p99 {1000 * statistics.quantiles(during, n=100)[98]:.2f} ms"
    )


def test_what_cannot_be_served_is_not_and_is_told(store: Store, tmp_path: Path) -> None:
    good, bad = store.current(), other_of(store)
    whole = (store.folder(bad) / ONNX_FILE).read_bytes()
    tolerated = ("no reload", "not the file that was stored")
    with serving(store, tmp_path, tolerated=tolerated) as server:
        (store.folder(bad) / ONNX_FILE).write_bytes(b"damaged")
        store.promote(bad)
        assert eventually(lambda: server.lines("event", "no reload, "))
        (line,) = server.lines("event", "no reload, ")
        assert good in line["event"]
        assert "not the file that was stored" in line["event"]
        assert eventually(lambda: metric(server, "model_reload_failing") == 1)
        with connected(server.at) as connection:
            assert connection.ask()[1]["model_version"] == good
        (store.folder(bad) / ONNX_FILE).write_bytes(whole)
        store.promote(good)
        store.promote(bad)
        with Load(server, answers_of(store)) as load:
            assert eventually(lambda: load.serves(bad))
        assert metric(server, "model_reload_failing") == 0


def test_a_server_of_one_version_stays_with_it(store: Store, tmp_path: Path) -> None:
    wanted = other_of(store)
    with serving(store, tmp_path, settings={"MODEL_VERSION": wanted}) as server:
        for _ in range(2):
            with connected(server.at) as connection:
                assert connection.ask()[1]["model_version"] == wanted
            store.promote(other_of(store))
            time.sleep(0.6)  # in which a server that follows would have looked twice


@contextmanager
def in_a_bucket(tmp_path: Path) -> Iterator[tuple[Store, dict[str, str]]]:
    with bucket_server() as (_, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings(model_store=f"{URL}/swap", model_cache=tmp_path / "cache")
        yield fill(open_store(settings)), environment


def test_a_bucket_is_followed(tmp_path: Path) -> None:
    with in_a_bucket(tmp_path) as (store, environment):
        given = {**environment, "MODEL_STORE": store.name, "MODEL_CACHE": str(tmp_path / "own")}
        with serving(store, tmp_path, tolerated=("may be out of date",), settings=given) as server:
            with Load(server, answers_of(store)) as load:
                for _ in range(4):
                    version = other_of(store)
                    store.promote(version)
                    assert eventually(lambda wanted=version: load.serves(wanted)), load.latest
            assert not load.faults, load.faults[:3]


def test_what_a_bucket_does_not_give_is_told_and_served_once_it_does(tmp_path: Path) -> None:
    with in_a_bucket(tmp_path) as (store, environment):
        version = other_of(store)
        archive = f"{environment['AWS_ENDPOINT_URL']}/bucket/models/swap/{version}.tar"
        whole = call(archive)
        call(archive, b"damaged", "PUT")
        given = {**environment, "MODEL_STORE": store.name, "MODEL_CACHE": str(tmp_path / "own")}
        tolerated = ("may be out of date", "no reload")
        with serving(store, tmp_path, tolerated=tolerated, settings=given) as server:
            store.promote(version)
            assert eventually(lambda: metric(server, "model_reload_failing") == 1)
            with Load(server, answers_of(store)) as load:
                call(archive, whole, "PUT")
                assert eventually(lambda: load.serves(version))
            assert metric(server, "model_reload_failing") == 0


def test_a_model_in_process_follows_too(store: Store) -> None:
    library = open_model(store.path)
    before = store.current()
    assert library.infer(json.loads(BODY))["model_version"] == before
    store.promote(other_of(store))
    assert eventually(lambda: library.infer(json.loads(BODY))["model_version"] != before)
    assert library.infer(json.loads(BODY))["model_version"] == store.current()
