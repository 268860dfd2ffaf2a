"""What the model server measures, and who may see it."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest
from conftest import INFER, REQUEST
from starlette.testclient import TestClient
from support import AUTHORIZATION, Connection, ask, connected, eventually, serving

from model.artifacts.store import Store

SERVER = re.compile('server="([^"]+)",?')


def lines(text: str) -> list[str]:
    """Those that hold samples."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def samples(text: str) -> dict[str, float]:
    """The value of each sample, by its name and its labels but `server`."""
    text = SERVER.sub("", text).replace(",}", "}").replace("{}", "")
    found = (line.rpartition(" ") for line in lines(text))
    return {name: float(value) for name, _, value in found}


def servers(text: str) -> set[str]:
    """Whose samples they are; each says it."""
    return {name for line in lines(text) for name in SERVER.findall(line) or ["nobody"]}


def version_info(store: Store) -> str:
    """The sample that tells the current version."""
    return 'model_version_info{version="' + store.current() + '"}'


def answer(connection: Connection) -> str:
    """The metrics, as the worker at the other end tells them."""
    connection.request("GET", "/metrics", headers=AUTHORIZATION)
    return connection.getresponse().read().decode()


def scrape(connection: Connection) -> dict[str, float]:
    """What the worker at the other end knows."""
    return samples(answer(connection))


def test_it_tells_batches_answers_refusals_and_the_version(
    client: TestClient, store: Store
) -> None:
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    before = samples(client.get("/metrics").text)
    for _ in range(3):
        assert client.post(INFER, json=REQUEST).status_code == 200
    assert client.post(INFER, json={}).status_code == 400
    late = {"X-Request-Timeout-Ms": "0"}
    assert client.post(INFER, json=REQUEST, headers=late).status_code == 503
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(response.text)
    for name, more in {
        'http_requests_total{endpoint="infer",status="200"}': 3,
        'http_requests_total{endpoint="infer",status="400"}': 1,
        'http_requests_refused_total{reason="deadline"}': 1,
        'http_requests_refused_total{reason="queue"}': 0,
        "inference_rows_total": 3 * len(REQUEST["inputs"][0]["data"]),
        "inference_duration_seconds_count": 3,
    }.items():
        assert found[name] - before.get(name, 0) == more
    assert found['inference_queue_requests{place="loop"}'] == 0
    assert found[version_info(store)] == 1
    trained = store.read(store.current()).created_at.timestamp()
    assert found["model_trained_timestamp_seconds"] == pytest.approx(trained)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not list(folder.glob("model-metrics-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_count_as_one_and_one_that_ends_counts_on(
    number: int, store: Store, tmp_path: Path, temporary: Path
) -> None:
    name = 'http_requests_total{endpoint="infer",status="200"}'
    settings = {"MODEL_WORKERS": "2"}
    with serving(store, tmp_path, settings=settings, tolerated=("Worker (pid",)) as server:
        assert eventually(lambda: len(server.workers()) == 2)
        asked = 1 + sum(ask(server.at) == 200 for _ in range(20))
        with connected(server.at) as connection:  # to one of them
            assert eventually(lambda: scrape(connection).get(name) == asked)
        ended = server.workers()[0]
        os.kill(ended, number)
        assert eventually(lambda: len({*server.workers()} - {ended}) == 2)
        with connected(server.at) as connection:
            text = answer(connection)
        assert servers(text) == {f"{gethostname()}-{server.process.pid}"}
        found = samples(text)
        assert found[name] == asked
        assert found[version_info(store)] == 1
        assert found["process_resident_memory_bytes"] > 10e6
        assert found["process_cpu_seconds_total"] > 0
        (shared,) = temporary.glob("model-metrics-*")
        assert list(shared.glob(f"counter_{ended}.db"))
        assert not list(shared.glob(f"gauge_live*_{ended}.db"))
