"""Gunicorn as the service configures it: several workers, connections, bodies, shared metrics."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import place_by_both_workers, served
from raw_server import RawServer
from support import NEW, PATH, TOKEN, serving, wait_until

from service.metrics import Metrics


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def counts(send: Any) -> set[float]:
    """How many rows were placed, according to several scrapes, which reach different workers."""
    labels = f'method="POST",route="{PATH}",status="201"'
    start = "http_request_duration_seconds_count{" + labels + "} "
    texts = [send("GET", "/metrics").data for _ in range(10)]
    return {
        sum(float(line[len(start) :]) for line in text.decode().splitlines() if start in line)
        for text in texts
    }


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_workers_count_as_one_and_are_replaced(url: str, tmp_path: Path) -> None:
    server = RawServer()
    with serving(server=server) as (_, model_url):
        environment = {
            "DATABASE_URL": url,
            "MODEL_URL": model_url,
            "MODEL_TOKENS": TOKEN,
            "MODEL_DEADLINE": "10",
            "WORKERS": "2",
        }
        with served(tmp_path, **environment) as (process, send):
            placed = place_by_both_workers(send, server)
            assert counts(send) == {placed}

            killed = children_of(process.pid)[0]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: len({*children_of(process.pid)} - {killed}) == 2)
            assert send("POST", PATH, json=NEW).status == 201
            assert counts(send) == {placed + 1}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_body_that_is_too_long_is_a_problem_of_its_own(url: str, tmp_path: Path) -> None:
    head, tail = json.dumps(NEW).encode().ljust(2**20), b" "
    with served(tmp_path, DATABASE_URL=url) as (_, send):
        for body in (head + tail, iter([head, tail])):
            large = send("POST", PATH, body=body, headers={"Content-Type": "application/json"})
            assert large.status == 413
            assert large.headers["Content-Type"] == "application/problem+json"
            assert send("GET", "/livez").status == 200


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_serve_finishes_the_requests_under_way_when_it_stops(url: str, tmp_path: Path) -> None:
    with serving() as (server, model_url):
        environment = {
            "DATABASE_URL": url,
            "MODEL_URL": model_url,
            "MODEL_TOKENS": f"{TOKEN},{TOKEN[::-1]}",
            "MODEL_DEADLINE": "30",
        }
        with served(tmp_path, **environment) as (process, send), ThreadPoolExecutor() as threads:
            wait_until(lambda: send("GET", "/readyz").status == 200)
            assert send("POST", PATH, json=NEW).json()["metadata"]["served_by"] == "model"
            assert list(tmp_path.glob("service-metrics-*"))
            server.model.released.clear()
            last = threads.submit(send, "POST", PATH, json=NEW)
            wait_until(lambda: len(server.model.requests) == 2)
            process.terminate()
            wait_until(lambda: "Handling signal: term" in (tmp_path / "log").read_text())
            server.model.released.set()
            assert last.result().status == 201
            assert process.wait(20) == 0
    assert not list(tmp_path.glob("service-metrics-*"))
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(each["event"] == "request" and each["status"] == 201 for each in events) == 2
    assert not any(each["logger"] == "gunicorn.access" for each in events)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_successor_that_is_given_up_takes_nothing_with_it(url: str, tmp_path: Path) -> None:
    with served(tmp_path, DATABASE_URL=url, WORKERS="1") as (process, send):
        assert send("GET", "/livez").status == 200  # by the worker, which is there by then
        (worker,) = children_of(process.pid)
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: any(map(children_of, children_of(process.pid))))
        (successor,) = {*children_of(process.pid)} - {worker}
        os.kill(successor, signal.SIGTERM)
        wait_until(lambda: children_of(process.pid) == [worker])
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: children_of(process.pid) not in ([], [worker]))
        assert send("POST", PATH, json=NEW).status == 201
        assert send("GET", "/metrics").status == 200
    assert not list(tmp_path.glob("service-metrics-*"))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_worker_may_be_told_to_stop_until_it_is_gone(url: str, tmp_path: Path) -> None:
    with served(tmp_path, DATABASE_URL=url, WORKERS="1") as (process, send):
        assert send("GET", "/livez").status == 200
        (worker,) = children_of(process.pid)
        with suppress(ProcessLookupError):
            while True:
                os.kill(worker, signal.SIGTERM)
                time.sleep(0.0005)  # which asyncio needs to take it
        assert send("GET", "/livez").status == 200
    for line in (tmp_path / "log").read_text().splitlines():
        assert json.loads(line)["level"] != "error"


def test_metrics_while_a_worker_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "counter_1.db"
    empty.touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("service.metrics.sleep", lambda _: empty.write_bytes(bytes(4096)))
    text, _ = Metrics().exposition()
    assert b"build_info" in text
