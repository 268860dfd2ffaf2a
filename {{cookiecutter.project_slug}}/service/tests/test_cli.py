"""The `service` command, and the service as real processes."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Service
from support import NEW, OUTCOME, PATH, SPARSE, TOKEN, serving
from urllib3 import HTTPConnectionPool

from contract import FEATURES, TARGET
from service.cli import main
from service.tables import Prediction

COLUMNS = [column.name for column in (*FEATURES, TARGET)]


@pytest.fixture
def run(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in a folder of its own, with the database at `url`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_migrate(fresh_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", fresh_url)
    for _ in range(2):
        assert CliRunner().invoke(main, ["migrate"], catch_exceptions=False).exit_code == 0
    service = Service(fresh_url)
    assert service.post(NEW).status_code == 201
    service.close()


def test_export(service: Service, run: Any, tmp_path: Path) -> None:
    for body in (NEW, SPARSE, NEW, SPARSE):
        service.post(body)
    for number in (2, 1, 4):
        service.post(OUTCOME, f"{PATH}/{number}/outcome")
    assert run("export", "rows.csv") == (0, "", "")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS

    def cells(row: dict[str, Any]) -> list[str]:
        texts = {True: "true", False: "false", None: ""}
        values = [row[name] for name in COLUMNS]
        return [
            texts[each] if each is None or isinstance(each, bool) else str(each) for each in values
        ]

    told = [features.model_dump() for features, _ in service.predictor.asked]
    stored = {TARGET.name: service.rows("predictions")[0]["outcome"]}
    assert rows == [cells({**told[number - 1], **stored}) for number in (1, 2, 4)]


def test_export_to_standard_output_with_nothing_known(run: Any) -> None:
    assert run("export", "-") == (0, ",".join(COLUMNS) + "\n", "")


def test_export_from_a_database_without_tables(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", fresh_url)
    result = CliRunner().invoke(main, ["export", "rows.csv"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "service migrate" in result.stderr


def test_export_leaves_out_rows_that_lack_a_feature_of_today(service: Service, run: Any) -> None:
    for number in (1, 2):
        service.post(NEW)
        service.post(OUTCOME, f"{PATH}/{number}/outcome")
    with service.database.sessions.begin() as session:
        row = session.get_one(Prediction, 1)
        row.features = {"gone": 1} if all(column.optional for column in FEATURES) else {}
    code, out, err = run("export", "-")
    lacking = not all(column.optional for column in FEATURES)
    assert (code, len(out.splitlines())) == (0, 2 if lacking else 3)
    assert err.startswith("1 rows left out") if lacking else not err


@pytest.mark.parametrize(
    "url",
    ["postgresql://somebody:secret@localhost:1/nothing", "sqlite:////proc/nothing/service.db"],
)
@pytest.mark.parametrize("command", [["migrate"], ["export", "rows.csv"], ["revision", "more"]])
def test_no_database(url: str, command: list[str], run: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("as it was")
    code, out, err = run(*command)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("Error: DATABASE_URL: cannot be used: ")
    assert "secret" not in err
    assert (tmp_path / "rows.csv").read_text() == "as it was"


def test_openapi(run: Any) -> None:
    code, out, _ = run("openapi")
    document = json.loads(out)
    assert code == 0
    assert PATH + "/{id}/outcome" in document["paths"]


COMMAND = Path(sys.executable).with_name("service")


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """`service serve` as a process, and a function that sends it a request."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "serve"],
            cwd=folder,
            env={**os.environ, "PORT": str(port), "LOG_FORMAT": "json", **environment},
            stderr=log,
        )
    try:
        give_up = time.monotonic() + 30
        while "Listening at" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        pool = HTTPConnectionPool("127.0.0.1", port, timeout=20, retries=False, maxsize=8)

        def send(method: str, path: str, **options: Any) -> Any:
            headers = {"Connection": "close", **options.pop("headers", {})}
            return pool.request(method, path, headers=headers, **options)

        yield process, send
        pool.close()
    finally:
        process.terminate()
        process.wait(20)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in children.split()]


def counts(send: Any) -> set[float]:
    """How many rows were placed, as several scrapes, which meet different workers, say."""
    labels = f'method="POST",route="{PATH}",status="201"'
    start = "http_request_seconds_count{" + labels + "} "
    texts = [send("GET", "/metrics").data for _ in range(10)]
    return {
        sum(float(line[len(start) :]) for line in text.decode().splitlines() if start in line)
        for text in texts
    }


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_serve(url: str, tmp_path: Path) -> None:
    with serving(("127.0.0.1", 0)) as (model, model_url):
        environment = {
            "DATABASE_URL": url,
            "MODEL_URL": model_url,
            "MODEL_TOKENS": f"{TOKEN},old",
            "MODEL_TIMEOUT": "10",
            "WORKERS": "2",
            "TMPDIR": str(tmp_path),
        }
        with served(tmp_path, **environment) as (process, send):
            assert send("GET", "/readyz").status == 200
            placed = 0
            while model.connections < 2 or placed < 20:  # until each worker has asked the model
                with ThreadPoolExecutor(8) as threads:
                    posts = [threads.submit(send, "POST", PATH, json=NEW) for _ in range(8)]
                assert [post.result().status for post in posts] == [201] * 8
                assert all(
                    post.result().json()["metadata"]["served_by"] == "model" for post in posts
                )
                placed += len(posts)
            assert counts(send) == {placed}

            os.kill(workers_of(process)[0], signal.SIGKILL)
            give_up = time.monotonic() + 20
            while len(workers_of(process)) < 2 and time.monotonic() < give_up:
                time.sleep(0.05)
            assert send("POST", PATH, json=NEW).status == 201
            assert counts(send) == {placed + 1}

            head, tail = json.dumps(NEW).encode().ljust(2**20), b" "
            for body in (head + tail, iter([head, tail])):
                large = send("POST", PATH, body=body, headers={"Content-Type": "application/json"})
                assert large.status == 413
                assert large.headers["Content-Type"] == "application/problem+json"
                assert send("GET", f"{PATH}/1").status == 200
            # Requests under way are finished when the service stops.
            assert list(tmp_path.glob("service-metrics-*"))
            model.model.delay = 0.5
            asked = len(model.model.requests)
            with ThreadPoolExecutor() as threads:
                last = threads.submit(send, "POST", PATH, json=NEW)
                while len(model.model.requests) == asked:
                    time.sleep(0.01)
                process.terminate()
                assert last.result().status == 201
            assert process.wait(20) == 0
        assert not list(tmp_path.glob("service-metrics-*"))
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert (
        sum(each["event"] == "request" and each["status"] == 201 for each in events) == placed + 2
    )
    assert not any(each["logger"] == "gunicorn.access" for each in events)


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux alone can wait")
def test_connections_that_say_nothing_hold_nobody_up(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'service.db'}", "WORKERS": "1"}
    with served(tmp_path, **environment, THREADS="2") as (_, send), ExitStack() as silent:
        assert send("GET", "/livez").status == 200
        (port,) = re.findall(r"http://127.0.0.1:(\d+)", (tmp_path / "log").read_text())
        for _ in range(4):
            silent.enter_context(socket.create_connection(("127.0.0.1", int(port))))
        start = time.monotonic()
        assert send("GET", "/livez").status == 200
        assert time.monotonic() - start < 4  # one that waits for a silent one waits five seconds


def test_serve_with_wrong_settings(tmp_path: Path) -> None:
    environment = {**os.environ, "PORT": "x", "WORKERS": "0"}
    result = subprocess.run(
        [COMMAND, "serve"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["PORT", "WORKERS"]
    assert not list(tmp_path.iterdir())
