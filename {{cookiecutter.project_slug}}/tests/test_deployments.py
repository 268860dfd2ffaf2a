"""Wherever MODEL_URL points, the predictions are the same."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, ROOT, TOKEN, Pair, reserved_port, wait_until


def test_every_deployment_gives_the_same_predictions_and_stops_cleanly(
    store: Path, tmp_path: Path
) -> None:
    answers: list[list[dict[str, Any]]] = []
    urls = ("", "http://127.0.0.1:PORT", f"library:{store}", "subprocess:")
    for number, url in enumerate(urls):
        folder = tmp_path / str(number)
        folder.mkdir()
        pair = Pair(folder, store, f"sqlite:///{folder / 'test.db'}", url)
        if pair.has_server:
            pair.model.start()
        pair.service.start()
        try:
            pair.wait("ok")
            answers.append([pair.place(example)["metadata"] for example in range(len(EXAMPLES))])
            assert pair.service.stop() == 0
            assert pair.model.stop() == 0
        finally:
            pair.stop()
        assert not pair.socket.exists()
    assert all(metadata["served_by"] == "model" for metadata in answers[0])
    assert answers == [answers[0]] * len(urls)


def test_make_up_runs_both_until_ctrl_c(store: Path, tmp_path: Path) -> None:
    def up(log: Path, model: int, service: int) -> subprocess.Popen[bytes]:
        environment = {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}",
            "MODEL_STORE": str(store),
            "MODEL_TOKENS": TOKEN,
            "MODEL_URL": f"http://127.0.0.1:{model}",
            "PORT": str(service),
            "http_proxy": "http://127.0.0.1:1",  # leads nowhere, and must not be asked
        }
        with log.open("wb") as output:
            return subprocess.Popen(
                [ROOT / "service/.venv/bin/python", "dev/up.py"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    log, other = tmp_path / "up.log", tmp_path / "second.log"
    with reserved_port() as model, reserved_port() as service:
        process = up(log, model, service)
        wait_until(lambda: "Ctrl-C stops both" in log.read_text(), log.read_text, 60)
        assert up(other, model, service).wait(30) == 1
        assert f"PORT: http://127.0.0.1:{service}" in other.read_text()
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "Handling signal: term" in log.read_text(), log.read_text, 30)
        process.send_signal(signal.SIGINT)  # the impatient press it again
        assert process.wait(30) == 0, log.read_text()
        for part in (f":{service}", f"http://127.0.0.1:{model}", "service | ", "model   | "):
            assert part in log.read_text()
        for port in (model, service):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), 1)
