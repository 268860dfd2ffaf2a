"""Wherever MODEL_URL points, the predictions are the same."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, PLURAL, ROOT, TOKEN, Pair, free_port, outcome


def test_every_deployment_gives_the_same_predictions_and_stops_cleanly(
    store: Path, tmp_path: Path
) -> None:
    answers: list[list[dict[str, Any]]] = []
    for number, url in enumerate(("", "http://127.0.0.1:PORT", f"library:{store}")):
        folder = tmp_path / str(number)
        folder.mkdir()
        url = url.replace("PORT", str(free_port()))
        pair = Pair(folder, store, f"sqlite:///{folder / 'test.db'}", url)
        if not url.startswith("library:"):
            pair.model.start()
        pair.service.start()
        try:
            pair.wait(200)
            answers.append([pair.place(example)["metadata"] for example in range(len(EXAMPLES))])
            assert pair.service.stop() == 0
            assert pair.model.stop() == 0
        finally:
            pair.stop()
        assert not pair.socket.exists()
    assert all(metadata["served_by"] == "model" for metadata in answers[0])
    assert answers[0] == answers[1] == answers[2]


def test_what_the_service_exports_the_model_learns_from(
    pair: Pair, store: Path, tmp_path: Path
) -> None:
    for number in range(len(EXAMPLES)):
        placed = pair.place(number)
        answer = pair.client.post(f"/{PLURAL}/{placed['id']}/outcome", json=outcome(number))
        assert answer.is_success
    exported = tmp_path / "exported.csv"
    environment = pair.service.environment
    subprocess.run(
        [ROOT / "service/.venv/bin/service", "export", exported],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    header, *rows = exported.read_text("utf-8").splitlines()
    history_header, *history = (ROOT / "data/history.csv").read_text("utf-8").splitlines()
    assert header == history_header
    assert len(rows) >= len(EXAMPLES)
    both = tmp_path / "both.csv"
    both.write_text("\n".join([header, *history, *rows]) + "\n", "utf-8")
    retrained = tmp_path / "store"
    subprocess.run(
        [ROOT / "model/.venv/bin/model", "train", "--data", both],
        cwd=ROOT,
        env={**environment, "MODEL_STORE": str(retrained)},
        check=True,
    )
    assert (retrained / "current").read_text() != (store / "current").read_text()


def test_make_up_runs_both_until_ctrl_c(store: Path, tmp_path: Path) -> None:
    model, service = free_port(), free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
        "MODEL_STORE": str(store),
        "MODEL_TOKENS": TOKEN,
        "MODEL_URL": f"http://127.0.0.1:{model}",
        "PORT": str(service),
        "http_proxy": "http://127.0.0.1:1",  # leads nowhere, and must not be asked
    }

    def up(log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                [ROOT / "service/.venv/bin/python", "deploy/up.py"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    log = tmp_path / "up.log"
    process = up(log)
    deadline = time.monotonic() + 60
    while "Ctrl-C stops both" not in log.read_text() and time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    second = up(tmp_path / "second.log")
    assert second.wait(30) == 1
    assert f"PORT: http://127.0.0.1:{service}" in (tmp_path / "second.log").read_text()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # the impatient press it again
    assert process.wait(30) == 0, log.read_text()
    text = log.read_text()
    for expected in (
        f"http://127.0.0.1:{service}",
        environment["MODEL_URL"],
        "service | ",
        "model   | ",
    ):
        assert expected in text
    for port in (model, service):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 1)
